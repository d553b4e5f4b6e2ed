//! What can be wrong with a configuration: file, line, key, and the cure.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A place in a configuration file; shown as `edge.toml:12`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name as it was given.
    pub file: Arc<str>,
    /// Line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{place}: not valid TOML: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser stumbled over.
        message: String,
    },
    /// A key that does not exist.
    #[error("{place}: unknown key \"{key}\" in {table}; did you mean \"{nearest}\"?")]
    UnknownKey {
        /// Where.
        place: Place,
        /// As written.
        key: String,
        /// Table it stands in, such as `[cache]`.
        table: &'static str,
        /// The known key that is written most like it.
        nearest: &'static str,
    },
    /// A key that has no default is absent.
    #[error("{place}: {key} is missing; {cure}")]
    Missing {
        /// Where the table begins.
        place: Place,
        /// Such as `site.origin`.
        key: String,
        /// An example.
        cure: &'static str,
    },
    /// A value of another kind than the key takes.
    #[error("{place}: {key} is {got}, but takes {wanted}")]
    Kind {
        /// Where.
        place: Place,
        /// Such as `server.workers`.
        key: String,
        /// What stands there.
        got: &'static str,
        /// What should.
        wanted: &'static str,
    },
    /// A value that makes no sense.
    #[error("{place}: {key}: {problem}")]
    Value {
        /// Where.
        place: Place,
        /// Such as `listen.addr`.
        key: String,
        /// What is wrong with it, and the cure.
        problem: String,
    },
}

/// Everything that is wrong, in the order of the file; shown one a line.
#[derive(Debug)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Errors of one file, put in its order.
    pub(super) fn new(mut errors: Vec<ConfigError>) -> ConfigErrors {
        errors.sort_by_key(ConfigError::line);
        ConfigErrors(errors)
    }

    /// Every error; at least one.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl ConfigError {
    fn line(&self) -> usize {
        match self {
            ConfigError::Unreadable { .. } => 0,
            ConfigError::Syntax { place, .. }
            | ConfigError::UnknownKey { place, .. }
            | ConfigError::Missing { place, .. }
            | ConfigError::Kind { place, .. }
            | ConfigError::Value { place, .. } => place.line,
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
