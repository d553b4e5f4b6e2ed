//! Why a request was turned away that a site's own rules do not let in.

/// `as_str` is log field, metric label and the value of `Edge-Reason` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Its `Referer` is not let in.
    Referer,
    /// Its client's address is not let in.
    Address,
    /// Its `User-Agent` is not let in.
    Agent,
    /// The country of its client's address is not let in.
    Country,
    /// The link has no signature.
    SignatureMissing,
    /// The signature is not ours.
    SignatureInvalid,
    /// The link was good once.
    SignatureExpired,
    /// The site's own service said no.
    RemoteAuth,
    /// That service could not be asked.
    RemoteAuthFailed,
    /// The client has as many answers under way as it may.
    ClientConcurrency,
    /// The site has.
    SiteConcurrency,
}

impl Denial {
    /// Every reason, in index order.
    pub const ALL: [Denial; 11] = [
        Denial::Referer,
        Denial::Address,
        Denial::Agent,
        Denial::Country,
        Denial::SignatureMissing,
        Denial::SignatureInvalid,
        Denial::SignatureExpired,
        Denial::RemoteAuth,
        Denial::RemoteAuthFailed,
        Denial::ClientConcurrency,
        Denial::SiteConcurrency,
    ];

    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Denial::Referer => "referer",
            Denial::Address => "address",
            Denial::Agent => "user_agent",
            Denial::Country => "country",
            Denial::SignatureMissing => "signature_missing",
            Denial::SignatureInvalid => "signature_invalid",
            Denial::SignatureExpired => "signature_expired",
            Denial::RemoteAuth => "remote_auth",
            Denial::RemoteAuthFailed => "remote_auth_failed",
            Denial::ClientConcurrency => "client_concurrency",
            Denial::SiteConcurrency => "site_concurrency",
        }
    }

    /// The status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Denial::ClientConcurrency => 429,
            Denial::SiteConcurrency => 503,
            _ => 403,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_index_themselves() {
        for (index, denial) in Denial::ALL.into_iter().enumerate() {
            assert_eq!(denial as usize, index, "{}", denial.as_str());
        }
    }
}
