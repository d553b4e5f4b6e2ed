//! Content codings, and which of them a client takes (RFC 9110 §8.4.1, §12.5.3).

use super::selecting::preference;
use super::token::members;

/// A coding that the node can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Coding {
    /// `gzip` (RFC 1952)
    Gzip,
    /// `br` (RFC 7932)
    Brotli,
    /// `zstd` (RFC 8878, with the window of RFC 9659)
    Zstd,
}

impl Coding {
    /// Every one.
    pub const ALL: [Coding; 3] = [Coding::Gzip, Coding::Brotli, Coding::Zstd];

    /// As it stands in `Content-Encoding`.
    pub fn as_str(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }

    /// What names of files that are coded so end in.
    pub fn suffix(self) -> &'static str {
        match self {
            Coding::Gzip => ".gz",
            Coding::Brotli => ".br",
            Coding::Zstd => ".zst",
        }
    }

    fn is_named(self, name: &[u8]) -> bool {
        let old = self == Coding::Gzip && name.eq_ignore_ascii_case(b"x-gzip");
        old || name.eq_ignore_ascii_case(self.as_str().as_bytes())
    }
}

/// Codings in the order in which they are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted([Option<Coding>; 3]);

impl Wanted {
    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = Coding> {
        self.0.iter().flatten().copied()
    }
}

/// Which of `ours`, in our order of preference, the client with these `Accept-Encoding` lines takes:
/// its weights come first, then our order. None where it likes the plain bytes better, or says
/// nothing. Allocates nothing.
pub fn wanted<'a>(lines: impl Iterator<Item = &'a [u8]>, ours: &[Coding]) -> Wanted {
    let mut named = [None; 3];
    let (mut any, mut plain) = (None, None);
    for member in lines.flat_map(members) {
        let (weight, name) = preference(member);
        if name == b"*" {
            any = Some(weight);
        } else if name.eq_ignore_ascii_case(b"identity") {
            plain = Some(weight);
        } else if let Some(coding) = Coding::ALL.into_iter().find(|coding| coding.is_named(name)) {
            named[coding as usize] = Some(weight);
        }
    }
    let weight = |coding: Coding| named[coding as usize].or(any).unwrap_or(0);
    let mut wanted = Wanted::default();
    let liked =
        |coding: &Coding| weight(*coding) > 0 && plain.is_none_or(|plain| weight(*coding) >= plain);
    for (len, coding) in ours.iter().copied().filter(liked).take(3).enumerate() {
        // Inserted behind all of no smaller weight.
        let at = wanted.iter().take_while(|before| weight(*before) >= weight(coding)).count();
        wanted.0[at..=len].rotate_right(1);
        wanted.0[at] = Some(coding);
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_come_first_then_our_order() {
        use Coding::*;
        let ours = [Brotli, Zstd, Gzip];
        for (lines, expected) in [
            (&[][..], &[][..]),
            (&[""], &[]),
            (&["gzip"], &[Gzip]),
            (&["GZIP"], &[Gzip]),
            (&["x-gzip"], &[Gzip]),
            (&["gzip, deflate, br, zstd"], &[Brotli, Zstd, Gzip]),
            (&["gzip", "br"], &[Brotli, Gzip]),
            (&["gzip;q=1.0, br;q=0.5"], &[Gzip, Brotli]),
            (&["br;q=0, gzip"], &[Gzip]),
            (&["gzip;q=0"], &[]),
            (&["*"], &[Brotli, Zstd, Gzip]),
            (&["*;q=0.1, gzip;q=0.5"], &[Gzip, Brotli, Zstd]),
            (&["*;q=0"], &[]),
            (&["identity"], &[]),
            (&["identity, gzip"], &[Gzip]),
            (&["identity;q=1, *;q=0"], &[]),
            (&["identity, gzip;q=0.5"], &[]),
            (&["identity;q=0.5, gzip;q=0.8, br;q=0.4"], &[Gzip]),
            (&["identity;q=0, *"], &[Brotli, Zstd, Gzip]),
            (&["br ; q=0.2 ,gzip ;Q=0.3"], &[Gzip, Brotli]),
            (&["gzip;q=0.0001, br"], &[Brotli]),
            (&["deflate, compress"], &[]),
        ] {
            let lines = lines.iter().map(|line| line.as_bytes());
            let found: Vec<Coding> = wanted(lines, &ours).iter().collect();
            assert_eq!(found, expected);
        }
        let only: Vec<Coding> = wanted([&b"gzip, br"[..]].into_iter(), &[Gzip]).iter().collect();
        assert_eq!(only, [Gzip]);
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read(line in "[ -~]{0,60}", many in 0usize..4) {
            let lines = std::iter::repeat_n(line.as_bytes(), many);
            let found: Vec<Coding> = wanted(lines, &Coding::ALL).iter().collect();
            proptest::prop_assert!(found.len() <= 3);
        }
    }
}
