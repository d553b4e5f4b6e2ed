//! HTTP/2: what a client sees of it, case by case as RFC 9113 and h2spec ask, with real clients, and
//! under attack.

mod attacks;
mod cases;
mod cases_http2;
mod conformance;
mod stories;
