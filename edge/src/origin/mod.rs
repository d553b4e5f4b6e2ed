//! What is known about origins, without a socket: which address to ask, what to send, what an answer
//! means, and what may be tried again.
#![forbid(unsafe_code)]

pub mod content_range;
pub mod facts;
pub mod group;
pub mod head;
pub mod pace;
pub mod passing;
pub mod redirect;
pub mod request;
pub mod retry;
pub mod verdict;
pub mod version;

pub use content_range::ContentRange;
pub use group::Group;
pub use head::Head;
pub use passing::Passing;
pub use request::Ask;
pub use retry::Failure;
pub use verdict::{Verdict, judge};
