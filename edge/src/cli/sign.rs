//! `edge sign`: links that are good for a time.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use super::CliError;
use crate::config::{Config, Scheme, Sign};
use crate::site::{Sites, sign};

/// Sign a link, as a site's configuration says or with a key that is given
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// http://host/path?query, or the path alone; as clients will ask for it
    url: String,
    /// Configuration file whose site signs
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The site, by one of its hosts; without: the URL's
    #[arg(long, value_name = "HOST", requires = "config")]
    site: Option<String>,
    /// A, B, C, F or sha256
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "config", requires = "key")]
    scheme: Option<String>,
    /// Key of 16 to 128 letters and digits; better given in the environment, where `ps` does not show it
    #[arg(long, env = "EDGE_SIGN_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Time from which it is good, in seconds since 1970; without: now
    #[arg(long, value_name = "SECONDS")]
    at: Option<u64>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), CliError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let link = link(&args, args.at.unwrap_or(since.as_secs()))?;
    super::print(&format!("{link}\n"))
}

fn link(args: &Args, now_s: u64) -> Result<String, CliError> {
    let url = encoded(&args.url);
    let (front, target) = split(&url);
    let rules = rules(args, front)?;
    let link = sign::make(&rules, target, now_s);
    let link = link.ok_or(CliError::Usage("the site has no key".to_owned()))?;
    Ok(format!("{front}{link}"))
}

/// Scheme and authority, and the target.
fn split(url: &str) -> (&str, &str) {
    let Some((scheme, rest)) = url.split_once("://") else { return ("", url) };
    let slash = rest.find('/').map_or(url.len(), |at| scheme.len() + 3 + at);
    match url.split_at(slash) {
        (front, "") => (front, "/"),
        parts => parts,
    }
}

/// What no URL holds is percent-encoded: a link is signed as it is sent.
fn encoded(url: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    url.bytes().fold(String::new(), |mut text, byte| {
        match byte.is_ascii_graphic() {
            true => text.push(char::from(byte)),
            false => text.push_str(&format!("%{byte:02X}")),
        }
        text
    })
}

fn rules(args: &Args, front: &str) -> Result<Sign, CliError> {
    let usage = |text: String| Err(CliError::Usage(text));
    let Some(file) = &args.config else {
        let (Some(name), Some(key)) = (&args.scheme, &args.key) else {
            return usage("give --config FILE, or --type and --key".to_owned());
        };
        let known = Scheme::ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let Some((_, scheme)) = known else {
            return usage(format!("{name:?} is not A, B, C, F or sha256"));
        };
        return Sign::of(*scheme, key).map_err(CliError::Usage);
    };
    let authority = front.split_once("://").map_or("", |(_, authority)| authority);
    let host = args.site.as_deref().unwrap_or(match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    });
    let sites = Sites::new(&Config::load(file)?.sites, 1, None);
    let Some(site) = sites.find(&host.to_ascii_lowercase()) else {
        return usage(format!("no site has {host:?}; give --site HOST"));
    };
    match &site.config.sign {
        Some(rules) => Ok(rules.clone()),
        None => usage(format!("{} signs nothing; give it a [site.sign]", site.config.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(url: &str, scheme: &str) -> Args {
        Args {
            url: url.to_owned(),
            config: None,
            site: None,
            scheme: Some(scheme.to_owned()),
            key: Some("aliyuncdnexp1234".to_owned()),
            at: None,
        }
    }

    #[test]
    fn links_are_those_of_the_reference() {
        for (url, scheme, at, expected) in [
            (
                "http://domain.example.com/video/standard/1K.html",
                "A",
                1_444_435_200,
                "http://domain.example.com/video/standard/1K.html?auth_key=1444435200-0-0-80cd3862d699b7118eed99103f2a3a4f",
            ),
            (
                "/4/44/44c0909bcfc20a01afaf256ca99a8b8b.mp3",
                "b",
                1_439_596_800,
                "/201508150800/9044548ef1527deadafa49a890a377f0/4/44/44c0909bcfc20a01afaf256ca99a8b8b.mp3",
            ),
            (
                "http://x/test.flv",
                "C",
                0x55ce_8100,
                "http://x/a37fa50a5fb8f71214b1e7c95ec7a1bd/55CE8100/test.flv",
            ),
        ] {
            assert_eq!(link(&args(url, scheme), at).unwrap(), expected);
        }
    }

    #[test]
    fn links_are_signed_as_they_are_sent() {
        let link = link(&args("http://x/a b/\u{e9}?q#f", "F"), 1).unwrap();
        assert!(link.starts_with("http://x/a%20b/%C3%A9?q&sign="), "{link}");
        assert_eq!(split("http://x"), ("http://x", "/"));
    }

    #[test]
    fn what_is_missing_is_said() {
        let none = Args { scheme: None, key: None, ..args("/x", "A") };
        let short = Args { key: Some("short".to_owned()), ..args("/x", "A") };
        for wrong in [none, short, args("/x", "D")] {
            assert!(matches!(link(&wrong, 0), Err(CliError::Usage(_))), "{wrong:?}");
        }
    }
}
