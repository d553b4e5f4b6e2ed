//! One TOML file in, one [`Config`] out: raw → resolved, with nothing left that means "default".
#![forbid(unsafe_code)]

mod resolved;

pub use resolved::{
    Admin, Cache, Certificate, Config, Finish, Guard, GuardMode, Listen, Log, LogFormat, Origin,
    OriginAddress, Preset, Server, Site, Volume,
};
