//! The published vectors, and every way in which a link can be wrong.

use proptest::prelude::*;

use super::*;
use crate::config::Secret;

const KEY: &str = "aliyuncdnexp1234";
const SCHEMES: [Scheme; 5] = [Scheme::A, Scheme::B, Scheme::C, Scheme::F, Scheme::Sha256];

fn sign(scheme: Scheme) -> Sign {
    Sign::of(scheme, KEY).unwrap()
}

fn checked(sign: &Sign, target: &str, now_s: u64) -> Result<String, Denial> {
    let mut kept = String::new();
    check(sign, target, now_s, &mut kept).map(|()| kept)
}

/// Scheme, link, its time, and what is left of it.
const VECTORS: [(Scheme, &str, u64, &str); 5] = [
    (
        Scheme::A,
        "/video/standard/1K.html?auth_key=1444435200-0-0-80cd3862d699b7118eed99103f2a3a4f",
        1_444_435_200,
        "/video/standard/1K.html",
    ),
    (
        Scheme::B,
        "/201508150800/9044548ef1527deadafa49a890a377f0/4/44/44c0909bcfc20a01afaf256ca99a8b8b.mp3",
        1_439_596_800,
        "/4/44/44c0909bcfc20a01afaf256ca99a8b8b.mp3",
    ),
    (Scheme::C, "/a37fa50a5fb8f71214b1e7c95ec7a1bd/55CE8100/test.flv", 0x55ce_8100, "/test.flv"),
    (
        Scheme::C,
        "/test.flv?KEY1=a37fa50a5fb8f71214b1e7c95ec7a1bd&KEY2=55CE8100",
        0x55ce_8100,
        "/test.flv",
    ),
    // md5("aliyuncdnexp1234/test.flv1444435200"), made with md5sum(1).
    (
        Scheme::F,
        "/test.flv?sign=8bd6d00004cfef1fc7776e0792cf8999&time=1444435200",
        1_444_435_200,
        "/test.flv",
    ),
];

#[test]
fn published_vectors_hold_until_their_time_is_over() {
    for (scheme, link, time_s, kept) in VECTORS {
        let sign = sign(scheme);
        for (now_s, expected) in [
            (time_s, Ok(kept.to_owned())),
            (time_s + 1800, Ok(kept.to_owned())),
            (time_s + 1801, Err(Denial::SignatureExpired)),
            // It is good from the day it is made, whatever time it names.
            (time_s - 86_400, Ok(kept.to_owned())),
        ] {
            assert_eq!(checked(&sign, link, now_s), expected, "{link} at {now_s}");
        }
        let patient = Sign { skew_s: 60, ..sign };
        assert!(checked(&patient, link, time_s + 1860).is_ok(), "{link}");
        assert_eq!(checked(&patient, link, time_s + 1861), Err(Denial::SignatureExpired), "{link}");
    }
}

#[test]
fn every_key_is_taken_and_no_other() {
    for (scheme, link, time_s, _) in VECTORS {
        let with = |keys: &[&str]| Sign {
            keys: keys.iter().map(|key| Secret::new(key)).collect(),
            ..sign(scheme)
        };
        let backup = "bbbbbbbbbbbbbbbb";
        assert!(checked(&with(&[KEY, backup]), link, time_s).is_ok(), "{link}");
        assert!(checked(&with(&[backup, KEY]), link, time_s).is_ok(), "{link}");
        let denied = Err(Denial::SignatureInvalid);
        assert_eq!(checked(&with(&[backup]), link, time_s), denied, "{link}");
        assert_eq!(checked(&with(&[]), link, time_s), denied, "{link}");
    }
}

#[test]
fn other_arguments_stay() {
    let link = "/video/standard/1K.html?a=1&auth_key=1444435200-0-0-80cd3862d699b7118eed99103f2a3a4f&b&&c=%20";
    let kept = checked(&sign(Scheme::A), link, 1_444_435_200);
    assert_eq!(kept.as_deref(), Ok("/video/standard/1K.html?a=1&b&&c=%20"));
    let link = "/201508150800/9044548ef1527deadafa49a890a377f0/4/44/44c0909bcfc20a01afaf256ca99a8b8b.mp3?x=1";
    let kept = checked(&sign(Scheme::B), link, 1_439_596_800);
    assert_eq!(kept.as_deref(), Ok("/4/44/44c0909bcfc20a01afaf256ca99a8b8b.mp3?x=1"));
}

/// Links to the first vector's file that are wrong: its signature is D.
const WRONG_A: [(&str, Denial); 12] = [
    ("/video/standard/1K.html", Denial::SignatureMissing),
    ("/video/standard/1K.html?auth_key", Denial::SignatureInvalid),
    ("/video/standard/1K.html?auth_key=1444435200-0-D", Denial::SignatureInvalid),
    ("/video/standard/1K.html?auth_key=1444435200-0-0-D-", Denial::SignatureInvalid),
    ("/video/standard/1K.html?auth_key=+444435200-0-0-D", Denial::SignatureInvalid),
    ("/video/standard/1K.html?auth_key=1444435201-0-0-D", Denial::SignatureInvalid),
    ("/video/standard/1K.html?auth_key=1444435200-1-0-D", Denial::SignatureInvalid),
    ("/video/standard/2K.html?auth_key=1444435200-0-0-D", Denial::SignatureInvalid),
    ("/video/standard/1K%2ehtml?auth_key=1444435200-0-0-D", Denial::SignatureInvalid),
    ("/1K.html?auth_key=1444435200-0-0-D&auth_key=1444435200-0-0-D", Denial::SignatureInvalid),
    ("/video/standard/1K.html?auth_key=1444435200-0-0-gD", Denial::SignatureInvalid),
    ("/video/standard/1K.html?auth_key=99999999999999999999-0-0-D", Denial::SignatureInvalid),
];

#[test]
fn wrong_links_say_what_is_wrong() {
    use Denial::*;
    for (link, expected) in WRONG_A {
        let link = link.replace('D', "80cd3862d699b7118eed99103f2a3a4f");
        assert_eq!(checked(&sign(Scheme::A), &link, 1_444_435_200), Err(expected), "{link}");
    }
    for (scheme, link, expected) in [
        (Scheme::B, "/4/44/x.mp3", SignatureMissing),
        (Scheme::B, "/", SignatureMissing),
        (Scheme::B, "*", SignatureMissing),
        (Scheme::B, "/201508150800/9044548ef1527deadafa49a890a377f0", SignatureMissing),
        (Scheme::B, "/201513150800/9044548ef1527deadafa49a890a377f0/x", SignatureInvalid),
        (Scheme::B, "/201508152400/9044548ef1527deadafa49a890a377f0/x", SignatureInvalid),
        (Scheme::B, "/20150815080/9044548ef1527deadafa49a890a377f0/x", SignatureInvalid),
        (Scheme::B, "/201508150800/9044548ef1527deadafa49a890a377f0/x", SignatureInvalid),
        (Scheme::C, "/test.flv", SignatureMissing),
        (Scheme::C, "/test.flv?KEY1=a37fa50a5fb8f71214b1e7c95ec7a1bd", SignatureMissing),
        (
            Scheme::C,
            "/test.flv?KEY1=a37fa50a5fb8f71214b1e7c95ec7a1bd&KEY2=55ce8100",
            SignatureInvalid,
        ),
        (Scheme::C, "/a37fa50a5fb8f71214b1e7c95ec7a1bd/zz/test.flv", SignatureInvalid),
        (Scheme::F, "/test.flv?time=1", SignatureMissing),
        (Scheme::F, "/test.flv?sign=8bd6d00004cfef1fc7776e0792cf8999&time=x", SignatureInvalid),
    ] {
        assert_eq!(checked(&sign(scheme), link, 1_439_596_800), Err(expected), "{link}");
    }
}

#[test]
fn what_is_made_is_good_as_long_as_it_says() {
    let now_s = 1_700_000_040;
    for scheme in SCHEMES {
        let hex = Sign { hex_time: scheme == Scheme::F, ..sign(scheme) };
        for sign in [sign(scheme), hex] {
            for target in ["/a/b.mp4", "/a%20b?x=1&y", "/"] {
                let link = make(&sign, target, now_s).unwrap();
                assert_eq!(checked(&sign, &link, now_s).as_deref(), Ok(target), "{link}");
                // B counts minutes.
                let ends_s = now_s / 60 * 60 + 1800;
                assert!(checked(&sign, &link, ends_s).is_ok(), "{link}");
                assert_eq!(
                    checked(&sign, &link, ends_s + 60),
                    Err(Denial::SignatureExpired),
                    "{link}"
                );
            }
            if scheme != Scheme::B && scheme != Scheme::C {
                let again = make(&sign, &make(&sign, "/x?a=1", now_s).unwrap(), now_s);
                assert_eq!(again, make(&sign, "/x?a=1", now_s));
            }
        }
    }
}

#[test]
fn sha256_covers_what_else_is_asked() {
    let sign = sign(Scheme::Sha256);
    let link = make(&sign, "/a?rate=200k", 1_700_000_000).unwrap();
    assert!(checked(&sign, &link, 1_700_000_000).is_ok());
    let faster = link.replace("rate=200k", "rate=900k");
    assert_eq!(checked(&sign, &faster, 1_700_000_000), Err(Denial::SignatureInvalid));
    let later = link.replace("expires=17", "expires=27");
    assert_eq!(checked(&sign, &later, 1_700_000_000), Err(Denial::SignatureInvalid));
}

proptest! {
    /// Nothing panics, and nothing that is not signed is let in.
    #[test]
    fn any_text_is_looked_at(target in "[/?&=a-f0-9-]{0,80}", scheme in prop::sample::select(SCHEMES.to_vec())) {
        prop_assert!(checked(&sign(scheme), &target, 0).is_err());
    }

    /// One byte changed anywhere before the signature makes another link.
    #[test]
    fn a_changed_path_is_noticed(at in 1_usize..8, byte in "[a-z0-9]", scheme in prop::sample::select(SCHEMES.to_vec())) {
        let sign = sign(scheme);
        let target = "/ZZZZZZZ";
        let link = make(&sign, target, 1_700_000_000).unwrap();
        let mut changed = target.to_owned();
        changed.replace_range(at..=at, &byte);
        let link = link.replacen(target, &changed, 1);
        prop_assert_eq!(checked(&sign, &link, 1_700_000_000), Err(Denial::SignatureInvalid));
    }
}
