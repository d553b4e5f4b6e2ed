//! Signed links: made, and looked at.
//!
//! What is signed is the path as the client sends it, percent-encoding and all, never decoded: a link
//! is one text. Arguments beside the signature are not covered but by `sha256`, and are kept. Time zone of
//! scheme B is UTC+8, whatever the node's.

use std::fmt::Write;
use std::hint::black_box;

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;

use crate::config::{Scheme, Sign};
use crate::http::date;
use crate::log::Civil;
use crate::metrics::Denial;

/// Seconds by which scheme B's clock is ahead of UTC.
const ZONE_S: u64 = 8 * 3600;

/// What a link says about itself.
struct Claim<'t> {
    /// Path without the signature.
    path: &'t str,
    /// Signature, in hexadecimal.
    digest: &'t str,
    /// Its time, as written, and in seconds since 1970.
    time: &'t str,
    time_s: u64,
    /// What else scheme A signs.
    nonce: [&'t str; 2],
}

/// Whether the link `target` (path and query) is good at `now_s`. What is left of it without its
/// signature is added to `kept`: it is what is stored and what the origin is asked for.
///
/// # Errors
/// Why it is not.
pub fn check(sign: &Sign, target: &str, now_s: u64, kept: &mut String) -> Result<(), Denial> {
    let (path, query) = parts(target);
    let claim = claim(sign, path, query)?;
    strip(claim.path, query, kept, |name| !carries(sign, name));
    let is_ours = |key: &&crate::config::Secret| holds(sign.scheme, key.reveal(), &claim, kept);
    // Every key is tried: how long it takes does not tell which one it was.
    if sign.keys.iter().filter(is_ours).count() == 0 {
        return Err(Denial::SignatureInvalid);
    }
    let ends_s = claim.time_s.saturating_add(sign.ttl_s).saturating_add(sign.skew_s);
    if ends_s < now_s { Err(Denial::SignatureExpired) } else { Ok(()) }
}

/// A link for `target` (path and query), made with the main key and good from `now_s` on for as long as
/// `sign` says. Arguments that carry a signature already are replaced.
pub fn make(sign: &Sign, target: &str, now_s: u64) -> Option<String> {
    let key = sign.keys.first()?.reveal();
    let (path, query) = parts(target);
    let mut plain = String::new();
    strip(path, query, &mut plain, |name| !carries(sign, name));
    let time = match sign.scheme {
        Scheme::B => minutes_text(now_s),
        Scheme::C => format!("{now_s:X}"),
        Scheme::F if sign.hex_time => format!("{now_s:x}"),
        Scheme::Sha256 => now_s.saturating_add(sign.ttl_s).to_string(),
        Scheme::A | Scheme::F => now_s.to_string(),
    };
    let claim = Claim { path, digest: "", time: &time, time_s: now_s, nonce: ["0", "0"] };
    let digest = hex(&digest(sign.scheme, key, &claim, &plain));
    let joint = if plain.contains('?') { '&' } else { '?' };
    let [name, time_name] = &sign.arguments;
    Some(match sign.scheme {
        Scheme::A => format!("{plain}{joint}{name}={time}-0-0-{digest}"),
        Scheme::B => format!("/{time}/{digest}{plain}"),
        Scheme::C => format!("/{digest}/{time}{plain}"),
        Scheme::F | Scheme::Sha256 => format!("{plain}{joint}{name}={digest}&{time_name}={time}"),
    })
}

/// Whether the argument `name` belongs to the signature.
fn carries(sign: &Sign, name: &str) -> bool {
    sign.scheme != Scheme::B && sign.arguments.iter().any(|own| own == name && !own.is_empty())
}

fn parts(target: &str) -> (&str, Option<&str>) {
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

/// Adds path and those arguments whose name `keeps` to `out`, as they came.
pub fn strip(path: &str, query: Option<&str>, out: &mut String, keeps: impl Fn(&str) -> bool) {
    out.push_str(path);
    let mut joint = '?';
    for argument in query.into_iter().flat_map(|query| query.split('&')) {
        if keeps(name_of(argument)) {
            out.push(joint);
            out.push_str(argument);
            joint = '&';
        }
    }
}

fn name_of(argument: &str) -> &str {
    argument.split_once('=').map_or(argument, |(name, _)| name)
}

/// The one argument of that name. Two of them are nobody's link.
fn sole<'t>(query: Option<&'t str>, wanted: &str) -> Result<&'t str, Denial> {
    let arguments = query.into_iter().flat_map(|query| query.split('&'));
    let mut found = arguments.filter(|argument| name_of(argument) == wanted);
    let value = found.next().ok_or(Denial::SignatureMissing)?;
    if found.next().is_some() {
        return Err(Denial::SignatureInvalid);
    }
    Ok(value.split_once('=').map_or("", |(_, value)| value))
}

fn claim<'t>(sign: &Sign, path: &'t str, query: Option<&'t str>) -> Result<Claim<'t>, Denial> {
    let [name, time_name] = &sign.arguments;
    let plain = |digest, time, time_s: Option<u64>, path| {
        let time_s = time_s.ok_or(Denial::SignatureInvalid)?;
        Ok(Claim { path, digest, time, time_s, nonce: [""; 2] })
    };
    match sign.scheme {
        Scheme::A => {
            let mut words = sole(query, name)?.split('-');
            let (Some(time), Some(rand), Some(uid), Some(digest), None) =
                (words.next(), words.next(), words.next(), words.next(), words.next())
            else {
                return Err(Denial::SignatureInvalid);
            };
            let claim = plain(digest, time, decimal(time), path)?;
            Ok(Claim { nonce: [rand, uid], ..claim })
        }
        Scheme::B => {
            let (time, digest, rest) = leading(path)?;
            plain(digest, time, minutes(time), rest)
        }
        // Either form; a path that begins like a signature is one only without the arguments.
        Scheme::C => match (sole(query, name), sole(query, time_name)) {
            (Err(Denial::SignatureMissing), Err(Denial::SignatureMissing)) => {
                let (digest, time, rest) = leading(path)?;
                plain(digest, time, hexadecimal(time), rest)
            }
            (digest, time) => {
                let (digest, time) = (digest?, time?);
                plain(digest, time, hexadecimal(time), path)
            }
        },
        Scheme::F => {
            let (digest, time) = (sole(query, name)?, sole(query, time_name)?);
            let time_s = if sign.hex_time { hexadecimal(time) } else { decimal(time) };
            plain(digest, time, time_s, path)
        }
        Scheme::Sha256 => {
            let (digest, time) = (sole(query, name)?, sole(query, time_name)?);
            // It says when it ends.
            let begins = decimal(time).map(|time_s| time_s.saturating_sub(sign.ttl_s));
            plain(digest, time, begins, path)
        }
    }
}

/// `/one/two/rest`: the first two segments, and the rest with its slash.
fn leading(path: &str) -> Result<(&str, &str, &str), Denial> {
    let bare = path.strip_prefix('/').ok_or(Denial::SignatureMissing)?;
    let (one, rest) = bare.split_once('/').ok_or(Denial::SignatureMissing)?;
    let end = rest.find('/').ok_or(Denial::SignatureMissing)?;
    let (two, rest) = rest.split_at(end);
    // What has no signature at all is told apart from what has a wrong one.
    let is_digest = |text: &str| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if is_digest(one) || is_digest(two) {
        Ok((one, two, rest))
    } else {
        Err(Denial::SignatureMissing)
    }
}

fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn hexadecimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

/// `YYYYMMDDHHMM` in UTC+8.
fn minutes(text: &str) -> Option<u64> {
    if text.len() != 12 || decimal(text).is_none() {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().ok();
    let day = date::days(number(0..4)?, number(4..6)?, number(6..8)?)?;
    let (hour, minute) = (number(8..10)?, number(10..12)?);
    if hour > 23 || minute > 59 {
        return None;
    }
    u64::try_from(day * 86_400 + hour * 3600 + minute * 60 - ZONE_S as i64).ok()
}

fn minutes_text(unix_s: u64) -> String {
    let Civil { year, month, day, hour, minute, .. } =
        Civil::from_unix_ms((unix_s + ZONE_S) * 1000);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}")
}

/// Whether a claim is made with `key`. The time it takes does not hang on where they differ.
fn holds(scheme: Scheme, key: &str, claim: &Claim<'_>, plain: &str) -> bool {
    let own = digest(scheme, key, claim, plain);
    let own = own.as_ref();
    let theirs = claim.digest.as_bytes();
    if theirs.len() != own.len() * 2 {
        return false;
    }
    let mut difference = 0;
    for (byte, pair) in own.iter().zip(theirs.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (high, low) else { return false };
        difference |= black_box(byte ^ (high << 4 | low) as u8);
    }
    black_box(difference) == 0
}

enum Sum {
    Md5([u8; 16]),
    Sha256([u8; 32]),
}

impl AsRef<[u8]> for Sum {
    fn as_ref(&self) -> &[u8] {
        match self {
            Sum::Md5(bytes) => bytes,
            Sum::Sha256(bytes) => bytes,
        }
    }
}

fn digest(scheme: Scheme, key: &str, claim: &Claim<'_>, plain: &str) -> Sum {
    let Claim { path, time, nonce: [rand, uid], .. } = claim;
    let md5 = |parts: &[&str]| {
        let mut sum = Md5::new();
        parts.iter().for_each(|part| sum.update(part));
        Sum::Md5(sum.finalize().into())
    };
    match scheme {
        Scheme::A => md5(&[path, "-", time, "-", rand, "-", uid, "-", key]),
        Scheme::B => md5(&[key, time, path]),
        // The order of F is not public; it is C's.
        Scheme::C | Scheme::F => md5(&[key, path, time]),
        Scheme::Sha256 => {
            let mut sum =
                Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any length will do");
            // No target has a line break: the two cannot be shifted against each other.
            [plain, "\n", time].iter().for_each(|part| sum.update(part.as_bytes()));
            Sum::Sha256(sum.finalize().into_bytes().into())
        }
    }
}

fn hex(sum: &Sum) -> String {
    sum.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[path = "sign_tests.rs"]
mod tests;
