//! Domains that are added and removed while the node runs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, PoisonError};

use serde_json::{Value, json};

use super::node::Node;
use super::origins;
use crate::admin::Refusal;
use crate::config::{Config, DomainError, Origin, Site};
use crate::site::Geo;

impl Node {
    /// Adds a domain: kept on the disk, and answered for, before this returns.
    pub(super) fn add_domain(&self, order: &Value) -> Result<Value, Refusal> {
        self.change_domains(|config, text| config.add_domain(text, order))?;
        let config = self.config();
        let added = config.sites.last().ok_or(Refusal::Failed("the domain is gone".to_owned()))?;
        tracing::info!(domain = added.name, "domain added");
        Ok(shown(added))
    }

    /// Removes a domain; what is stored of it is not found any more, and makes room in time.
    pub(super) fn remove_domain(&self, order: &Value) -> Result<Value, Refusal> {
        let name = order["name"].as_str();
        let name = name.ok_or(Refusal::Wrong("name is missing; say which domain".to_owned()))?;
        self.change_domains(|config, text| config.remove_domain(text, name))?;
        tracing::info!(domain = name, "domain removed");
        Ok(json!({ "removed": name }))
    }

    /// Every site, and how many domains there may be.
    pub(super) fn domains_shown(&self) -> Value {
        let config = self.config();
        let sites: Vec<Value> = config.sites.iter().map(shown).collect();
        json!({
            "domains": sites,
            "count": config.domain_count(),
            "max": config.domains.max,
            "file": config.domains.file,
        })
    }

    /// First the disk, then the sites: what was answered holds after a restart.
    fn change_domains(
        &self,
        change: impl FnOnce(&Config, &str) -> Result<(Config, String), DomainError>,
    ) -> Result<(), Refusal> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.config();
        let Some(file) = &old.domains.file else {
            let why = "a node without a configuration file keeps no domains; give --config";
            return Err(Refusal::Wrong(why.to_owned()));
        };
        let failed = |error: io::Error| Refusal::Failed(format!("{}: {error}", file.display()));
        let text = match fs::read_to_string(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(failed)?,
        };
        let (new, text) = change(&old, &text).map_err(refusal)?;
        origins::install(self.fills.plane.groups(), &new).map_err(Refusal::Wrong)?;
        replace(file, &text).map_err(failed)?;
        // Domains change, the file of countries does not.
        let geo = self.sites.load().geo().cloned();
        self.install(new, geo);
        Ok(())
    }

    /// Makes `new` the configuration, and its sites those that requests are answered for.
    pub(super) fn install(&self, new: Config, geo: Option<Arc<Geo>>) {
        self.install_sites(&new, geo);
        self.config.store(Arc::new(new));
    }
}

fn refusal(error: DomainError) -> Refusal {
    let text = error.to_string();
    match error {
        DomainError::Invalid(_) => Refusal::Coded { status: 400, code: error.code(), text },
        DomainError::Unknown { .. } => Refusal::Coded { status: 404, code: error.code(), text },
        DomainError::Quota { .. } => Refusal::Coded { status: 403, code: error.code(), text },
        DomainError::Exists { .. } | DomainError::Fixed { .. } => {
            Refusal::Coded { status: 409, code: error.code(), text }
        }
    }
}

/// Puts `text` in the place of a file: whoever reads it, after whatever happens, finds the old text
/// or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// A site as the admin API shows it.
fn shown(site: &Site) -> Value {
    json!({
        "name": site.name,
        "hosts": site.hosts,
        "preset": site.preset.as_str(),
        "origin": origin_urls(&site.origin),
        "managed": site.is_managed,
        "keys": site.stated.keys.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
        "place": site.stated.place.to_string(),
    })
}

/// What a site's `origin` names.
pub(super) fn origin_urls(origin: &Origin) -> Vec<String> {
    match origin {
        Origin::File { root } => vec![format!("file://{}", root.display())],
        Origin::Http { addresses, .. } => addresses.iter().map(|one| one.to_string()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("e.domains.toml");
        for text in ["one", "", "three"] {
            replace(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(replace(Path::new("/nonexistent/e.toml"), "x").is_err());
    }
}
