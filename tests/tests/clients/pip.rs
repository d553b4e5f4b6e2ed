//! pip, from a simple index (PEP 503) with hashes.

use std::fs;
use std::path::Path;

use edge_tests::{Content, MIB, Tool, need, sha256_file};
use tempfile::tempdir;

use super::{Mirror, run, tree};

#[test]
fn pip_downloads_and_installs() {
    let (Some(python), Some(_)) = (need("python3"), need("pip3")) else { return };
    let Some(mirror) = Mirror::start() else { return };
    publish(&mirror.nginx.root(), &python);
    mirror.thrice(|_, url| {
        let dir = tempdir().expect("a directory");
        let index = format!("{url}/simple/");
        let pip = ["-m", "pip", "--isolated", "--disable-pip-version-check", "--no-cache-dir"];
        let from = ["--index-url", &index, "edge-demo"];
        let download = [&["download", "--no-deps", "-d", "wheels"], &from[..]].concat();
        run(&python, dir.path(), &[&pip[..], &download].concat());
        let install = [&["install", "--no-compile", "--target", "site"], &from[..]].concat();
        run(&python, dir.path(), &[&pip[..], &install].concat());
        let shown =
            run(&python, &dir.path().join("site"), &["-B", "-c", "import edge_demo"]).stdout;
        (tree(&dir.path().join("wheels")), tree(&dir.path().join("site")), shown)
    });
}

/// An index of two packages, the first of which wants the second.
fn publish(root: &Path, python: &Tool) {
    for (name, wants, bytes) in [("edge_demo", "edge_part", 3 * MIB), ("edge_part", "", 10)] {
        let page = root.join("simple").join(name.replace('_', "-"));
        fs::create_dir_all(&page).expect("a directory");
        let work = tempdir().expect("a directory");
        let info = work.path().join(format!("{name}-1.0.dist-info"));
        let package = work.path().join(name);
        fs::create_dir_all(&info).expect("a directory");
        fs::create_dir_all(&package).expect("a directory");
        fs::write(package.join("__init__.py"), format!("print(\"this is {name}\")\n"))
            .expect("write");
        Content::new(bytes, bytes).write_to(&package.join("data.bin"));
        let wants = match wants {
            "" => String::new(),
            _ => format!("Requires-Dist: {wants}\n"),
        };
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{wants}");
        fs::write(info.join("METADATA"), metadata).expect("write");
        let wheel =
            "Wheel-Version: 1.0\nGenerator: edge\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
        fs::write(info.join("WHEEL"), wheel).expect("write");
        let record = format!(
            "{name}/__init__.py,,\n{name}/data.bin,,\n{name}-1.0.dist-info/METADATA,,\n\
             {name}-1.0.dist-info/WHEEL,,\n{name}-1.0.dist-info/RECORD,,\n"
        );
        fs::write(info.join("RECORD"), record).expect("write");
        // A wheel is a zip archive.
        let file = format!("{name}-1.0-py3-none-any.whl");
        let at = page.join(&file).display().to_string();
        run(python, work.path(), &["-m", "zipfile", "-c", &at, name, &info.display().to_string()]);
        let hash = sha256_file(&page.join(&file)).expect("it was made");
        let index = format!("<!DOCTYPE html><a href=\"{file}#sha256={hash}\">{file}</a>\n");
        fs::write(page.join("index.html"), index).expect("write");
    }
}
