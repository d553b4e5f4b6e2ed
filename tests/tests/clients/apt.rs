//! apt and dpkg, with a root of their own, from a repository of our own.

use std::fs;
use std::path::Path;

use edge_tests::{Content, MIB, Tool, need};
use tempfile::tempdir;

use super::{Mirror, run, tree};

/// Packages, and the bytes of the file each installs: apt asks for several on one connection, without
/// waiting for answers.
const SIZES: [(&str, u64); 12] = [
    ("app", 5 * MIB),
    ("lib0", 1),
    ("lib1", 3_000),
    ("lib2", 70_000),
    ("lib3", MIB),
    ("lib4", 4_096),
    ("lib5", 2 * MIB + 1),
    ("lib6", 100),
    ("lib7", 16_384),
    ("lib8", 65_536),
    ("lib9", 500_000),
    ("lib10", 12),
];

#[test]
fn apt_updates_and_installs() {
    let tools = (need("apt-get"), need("apt-ftparchive"), need("dpkg-deb"));
    let (Some(apt), Some(archive), Some(dpkg_deb)) = tools else { return };
    let Some(mirror) = Mirror::start() else { return };
    publish(&mirror.nginx.root().join("debian"), &archive, &dpkg_deb);
    mirror.thrice(|_, url| {
        let root = tempdir().expect("a directory");
        install(&apt, root.path(), url);
        let (name, size) = SIZES[0];
        let installed = root.path().join("usr/share").join(name);
        assert_eq!(fs::metadata(&installed).expect("it was installed").len(), size);
        tree(&root.path().join("usr"))
    });
}

/// Makes a repository of [`SIZES`] in `at`; the first package depends on the others.
fn publish(at: &Path, archive: &Tool, dpkg_deb: &Tool) {
    let lists = "dists/stable/main/binary-all";
    fs::create_dir_all(at.join(lists)).expect("a directory");
    fs::create_dir_all(at.join("pool")).expect("a directory");
    let others: Vec<&str> = SIZES[1..].iter().map(|(name, _)| *name).collect();
    for (seed, (name, size)) in (1..).zip(SIZES) {
        let work = tempdir().expect("a directory");
        let tree = work.path().join("tree");
        fs::create_dir_all(tree.join("DEBIAN")).expect("a directory");
        fs::create_dir_all(tree.join("usr/share")).expect("a directory");
        Content::new(seed, size).write_to(&tree.join("usr/share").join(name));
        let depends = match name {
            "app" => format!("Depends: {}\n", others.join(", ")),
            _ => String::new(),
        };
        let control = format!(
            "Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@edge.test>\n\
             {depends}Description: a file\n"
        );
        fs::write(tree.join("DEBIAN/control"), control).expect("write");
        let deb = at.join("pool").join(format!("{name}_1.0_all.deb")).display().to_string();
        let args = ["--root-owner-group", "-Znone", "--build", "tree", &deb];
        run(dpkg_deb, work.path(), &args);
    }
    let packages = run(archive, at, &["packages", "pool"]).stdout;
    fs::write(at.join(lists).join("Packages"), packages).expect("write");
    let option = "APT::FTPArchive::Release::Codename=stable";
    let release = run(archive, at, &["-o", option, "release", "dists/stable"]).stdout;
    fs::write(at.join("dists/stable/Release"), release).expect("write");
}

/// `apt-get update && apt-get install app` into `root`.
fn install(apt: &Tool, root: &Path, url: &str) {
    for dir in ["etc/apt/preferences.d", "etc/apt/trusted.gpg.d", "etc/apt/sources.list.d"] {
        fs::create_dir_all(root.join(dir)).expect("a directory");
    }
    for dir in ["lists/partial", "dpkg/info", "dpkg/updates", "cache/archives/partial", "log"] {
        fs::create_dir_all(root.join("var").join(dir)).expect("a directory");
    }
    for file in ["status", "available"] {
        fs::write(root.join("var/dpkg").join(file), "").expect("write");
    }
    let sources = format!("deb [trusted=yes arch=all] {url}/debian stable main\n");
    fs::write(root.join("etc/apt/sources.list"), sources).expect("write");
    let dir = root.display();
    let config = format!(
        "Dir \"{dir}\";
Dir::Etc \"{dir}/etc/apt\";
Dir::Etc::parts \"-\";
Dir::State \"{dir}/var\";
Dir::State::status \"{dir}/var/dpkg/status\";
Dir::Cache \"{dir}/var/cache\";
Dir::Log \"{dir}/var/log\";
Dir::Bin::methods \"/usr/lib/apt/methods\";
Dir::Bin::dpkg \"/usr/bin/dpkg\";
DPkg::Options {{ \"--root={dir}\"; \"--admindir={dir}/var/dpkg\"; \"--force-not-root\"; \"--force-unsafe-io\"; \"--log={dir}/var/log/dpkg\"; }};
APT::Architecture \"all\";
APT::Architectures {{ \"all\"; }};
APT::Sandbox::User \"\";
Acquire::Languages \"none\";
Acquire::Retries \"0\";
Acquire::http::Proxy \"false\";
"
    );
    let file = root.join("apt.conf").display().to_string();
    fs::write(&file, config).expect("write");
    // A file named in the environment is read before all that the host has.
    let env = need("env").expect("coreutils");
    let apt = apt.path().display().to_string();
    let named = format!("APT_CONFIG={file}");
    run(&env, root, &[&named, &apt, "update", "--error-on=any"]);
    run(&env, root, &[&named, &apt, "install", "-y", "--no-install-recommends", "app"]);
}
