//! Every ceiling of the node, in one place. Units stand last in the name.
#![forbid(unsafe_code)]

/// Longest request head (request line + headers) a client may send.
pub const REQUEST_HEAD_MAX_BYTES: usize = 32 * 1024;
/// Longest request target; beyond it 414.
pub const REQUEST_TARGET_MAX_BYTES: usize = 8 * 1024;
/// Most header fields in a request; beyond it 431.
pub const REQUEST_HEADERS_MAX: usize = 100;
/// Longest PROXY header, optional fields included.
pub const PROXY_HEADER_MAX_BYTES: usize = 4 * 1024;
/// Received bytes a connection may hold before reading pauses (head + pipelined requests).
pub const RECEIVE_BUFFER_MAX_BYTES: usize = 64 * 1024;
/// Request body drained on a keep-alive connection before it is closed instead.
pub const DRAIN_BODY_MAX_BYTES: u64 = 1024 * 1024;
/// Most ranges looked at in one `Range` header; more and the header is ignored (RFC 9110 §14.2).
pub const RANGES_MAX: usize = 32;
/// Largest stored response head of an origin.
pub const ORIGIN_HEAD_MAX_BYTES: usize = 64 * 1024;
/// Most bytes of a body taken from an origin by one read.
pub const ORIGIN_READ_MAX_BYTES: usize = 256 * 1024;
/// Bytes of a fill that readers may not see yet although more come at once: fewer, larger pieces.
pub const UNSHOWN_MAX_BYTES: u64 = 256 * 1024;
/// Time a client has to send a whole request head, ms; beyond it 408.
pub const HEAD_TIMEOUT_MS: u64 = 15_000;
/// Time a keep-alive connection may stay idle, ms.
pub const IDLE_TIMEOUT_MS: u64 = 60_000;
/// Time a client may take no byte of a response that waits for it, ms.
pub const SEND_TIMEOUT_MS: u64 = 60_000;
/// Time a client waits for the fill plane before 504, ms.
pub const FILL_TIMEOUT_MS: u64 = 90_000;
/// Requests served on one connection before it is closed.
pub const REQUESTS_PER_CONN_MAX: u32 = 1_000_000;
/// Connections one worker holds.
pub const CONNS_PER_WORKER_MAX: usize = 131_072;
/// Commands waiting in one worker's mailbox; beyond it the worker rescans its waiting connections.
pub const WORKER_MAILBOX_MAX: usize = 4_096;
/// Connections of one worker that are listed for people at once.
pub const ROLL_MAX: usize = 4_096;
/// Demands waiting in one fill thread's mailbox; beyond it the request is answered 503.
pub const FILL_MAILBOX_MAX: usize = 16_384;
/// Bytes one connection may send per turn of its worker, for fairness.
pub const TURN_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// File bytes read at once to be sealed for a TLS connection.
pub const TLS_READ_BYTES: usize = 64 * 1024;
/// File bytes sealed before they are handed to the socket.
pub const TLS_TURN_BYTES: usize = 128 * 1024;
/// Streams one HTTP/2 connection may have under way; further ones are refused.
pub const H2_STREAMS_MAX: usize = 128;
/// Bytes of a request body that one HTTP/2 stream, or all of a connection's together, may have sent
/// and not yet handed to their origins.
pub const H2_STREAM_WINDOW_BYTES: i64 = 256 * 1024;
/// See [`H2_STREAM_WINDOW_BYTES`].
pub const H2_CONN_WINDOW_BYTES: i64 = 1024 * 1024;
/// Bytes of a request body taken by a stream whose answer is out before it is reset.
pub const H2_UNWANTED_MAX_BYTES: i64 = 128 * 1024;
/// CONTINUATION frames one field block may have.
pub const H2_CONTINUATIONS_MAX: usize = 16;
/// Bytes of fields beyond [`REQUEST_HEAD_MAX_BYTES`] that are answered 431; with more the connection ends.
pub const H2_HEAD_EXCESS_MAX_BYTES: usize = 224 * 1024;
/// Streams of one HTTP/2 connection given up before their answers ended: a second, and at once.
pub const H2_RESETS: (u64, u64) = (32, 256);
/// Frames without a request or a body, beyond those that answer data: a second, and at once.
pub const H2_IDLE_FRAMES: (u64, u64) = (200, 2_000);
/// Bytes of answers to such frames that may wait for their client to read.
pub const H2_CONTROL_MAX_BYTES: usize = 32 * 1024;
/// Bytes of frames made before they are handed to the socket.
pub const H2_OUT_BYTES: usize = 64 * 1024;
/// Sessions an HTTP/2 connection keeps for its next requests.
pub const H2_SPARE_SESSIONS_MAX: usize = 32;
/// Pipe capacity asked for, bytes.
pub const PIPE_BYTES: usize = 1024 * 1024;
/// Pipes one worker keeps; connections beyond it send with `sendfile`.
pub const PIPES_PER_WORKER_MAX: usize = 1_024;
/// Bytes an uncacheable body may wait in memory for its client.
pub const RELAY_BUFFER_MAX_BYTES: usize = 256 * 1024;
/// Bytes of a request body that may wait in memory for its origin.
pub const UPLOAD_BUFFER_MAX_BYTES: usize = 256 * 1024;
/// Interim answers (1xx) of one request that may wait for its client; further ones are dropped.
pub const INTERIMS_WAITING_MAX: usize = 8;
/// Time a client that expects `100 Continue` waits for its origin's word, ms (RFC 9110 §10.1.1).
pub const CONTINUE_WAIT_MS: u64 = 1_000;
/// Time in which no byte may pass through a tunnel, ms, where a site says nothing else.
pub const UPGRADE_TIMEOUT_MS: u64 = 300_000;
/// Smallest and largest slice size a config may ask for.
pub const SLICE_MIN_BYTES: u64 = 64 * 1024;
/// See [`SLICE_MIN_BYTES`].
pub const SLICE_MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Slices a volume must at least have room for: eight regions of two, and one to spare.
pub const VOLUME_SLICES_MIN: u64 = 17;
/// Bytes a volume must at least have beside them, for headers and checkpoints.
pub const VOLUME_OVERHEAD_MIN_BYTES: u64 = 1024 * 1024;
/// Records that left the cache and are remembered, two bytes each.
pub const GHOSTS_MAX: usize = 1 << 24;
/// Largest volume: the index has 40 bits for a place, in units of 512 bytes.
pub const VOLUME_MAX_BYTES: u64 = 1 << 49;
/// Threads of one plane a config may ask for.
pub const THREADS_MAX: usize = 256;
/// Longest host name a site may have, characters.
pub const HOST_MAX_BYTES: usize = 67;
/// Addresses one origin may have.
pub const ORIGIN_ADDRESSES_MAX: usize = 20;
/// Redirects in a row that a config may have followed.
pub const ORIGIN_HOPS_MAX: u32 = 5;
/// Longest lifetime a config may give, ms.
pub const TTL_MAX_MS: u64 = 99_999_999_000;
/// Keys a site's links may be signed with at once.
pub const SIGN_KEYS_MAX: usize = 8;
/// Names in one list of hosts or countries of `[site.access]`.
pub const ACCESS_NAMES_MAX: usize = 10_000;
/// Prefixes in one list of addresses.
pub const ACCESS_PREFIXES_MAX: usize = 100_000;
/// Patterns in one list of user agents: each is looked at for each request.
pub const ACCESS_PATTERNS_MAX: usize = 256;
/// Longest host or pattern in such a list, bytes.
pub const ACCESS_TEXT_MAX_BYTES: usize = 256;
/// Bytes of an auth service's answer that are read so that its connection may be used again.
pub const AUTH_BODY_MAX_BYTES: usize = 16 * 1024;
/// Slices of one object that `edge explain` looks at.
pub const EXPLAINED_SLICES_MAX: u32 = 65_536;
/// Sites one node may have.
pub const SITES_MAX: usize = 100_000;
/// Cache rules one site may have.
pub const RULES_MAX: usize = 1_024;
/// Bytes of fields that one table of header rules may add.
pub const HEADER_RULES_MAX_BYTES: usize = 8 * 1024;
/// Redirects, and rewrites, one site may have.
pub const REDIRECTS_MAX: usize = 4_096;
/// Memory the program of one of their regular expressions may take, bytes.
pub const REDIRECT_REGEX_MAX_BYTES: usize = 256 * 1024;
/// Redirects of a site that follow one another at most; with more they go in a circle.
pub const REDIRECT_HOPS_MAX: usize = 10;
/// Error pages one site may have.
pub const ERROR_PAGES_MAX: usize = 32;
/// Longest error page, bytes: they are held in memory.
pub const ERROR_PAGE_MAX_BYTES: u64 = 1024 * 1024;
/// Names of a directory that are shown.
pub const LISTED_MAX: usize = 10_000;
/// How long what was shown of a directory is believed, ms.
pub const LISTING_BELIEVED_MS: u64 = 1_000;
/// Objects that one fill thread makes others of at once, waiting ones included; more are left for later.
pub const DERIVING_MAX: usize = 64;
/// Arguments a cache key may keep.
pub const KEY_ARGUMENTS_MAX: usize = 10;
/// Arguments a cache key may ignore.
pub const KEY_IGNORED_MAX: usize = 64;
/// Request fields a cache key may hold.
pub const KEY_HEADERS_MAX: usize = 8;
/// Arguments of a query that are put in order; more stay as they came.
pub const KEY_SORTED_MAX: usize = 64;
/// Longest directory of a cache rule.
pub const RULE_PATH_MAX_BYTES: usize = 256;
/// Longest suffix of a cache rule, its dot included.
pub const RULE_SUFFIX_MAX_BYTES: usize = 32;
/// Statuses one `status_ttl` may name.
pub const STATUS_TTLS_MAX: usize = 64;
/// Parts a slice's presence is remembered in (one bit each).
pub const SLICE_BLOCKS: u32 = 64;
/// Objects' heads kept in memory.
pub const OBJECTS_IN_MEMORY_MAX: usize = 65_536;
/// Largest whole object that is kept in memory and sent from there: up to here copying is cheaper
/// than the calls that avoid it.
pub const SMALL_OBJECT_MAX_BYTES: u64 = 16 * 1024;
/// Largest body kept in memory with its head (error pages, redirects).
pub const MEMORY_BODY_MAX_BYTES: usize = 64 * 1024;
/// Longest object that is stored; longer ones (or an origin that lies) pass through.
pub const OBJECT_MAX_BYTES: u64 = 1 << 46;
/// Demands one fill thread works on at once; further ones wait in its mailbox.
pub const FILLS_PER_THREAD_MAX: usize = 1_024;
/// Most requests to one origin at once, and most objects brought in at once, that a config may allow.
pub const ORIGIN_CONNECTIONS_MAX: usize = 65_536;
/// Most connections one object comes on that a config may allow.
pub const STREAMS_PER_OBJECT_MAX: usize = 16;
/// URLs of one order to prefetch.
pub const PREFETCH_URLS_MAX: usize = 10_000;
/// Orders to prefetch that are remembered; when none of them has ended, further ones are refused.
pub const PREFETCH_ORDERS_MAX: usize = 64;
/// URLs prefetched at once.
pub const PREFETCHES_AT_ONCE: usize = 4;
/// Time a prefetch waits for its origin, or for its turn there, ms.
pub const PREFETCH_STALL_MS: u64 = 3_600_000;
/// Slices one request to an origin may ask for, and a filler keeps others off ahead of it.
pub const RUN_SLICES_MAX: u64 = 64;
/// Uncacheable bodies one fill thread passes through at once; beyond it 503.
pub const RELAYS_PER_THREAD_MAX: usize = 4_096;
/// Idle connections kept to one origin address by one fill thread.
pub const ORIGIN_IDLE_CONNS_MAX: usize = 64;
/// Origins, by address and TLS settings, that one fill thread keeps connections to.
pub const ORIGIN_POOLS_MAX: usize = 4_096;
/// Names of origins whose addresses are remembered.
pub const NAMES_MAX: usize = 65_536;
/// Least and longest time for which the addresses of a name are believed, ms.
pub const NAME_TTL_MIN_MS: u64 = 1_000;
/// See [`NAME_TTL_MIN_MS`].
pub const NAME_TTL_MAX_MS: u64 = 86_400_000;
/// Time an idle connection to an origin is kept, ms.
pub const ORIGIN_IDLE_MS: u64 = 60_000;
/// Purges that are remembered; with more, the older half becomes one purge of all that was stored then.
pub const PURGE_RULES_MAX: usize = 65_536;
/// Of those, regular expressions: each is asked of each object once.
pub const PURGE_REGEXES_MAX: usize = 256;
/// Longest pattern of a purge, its site's name included, bytes.
pub const PURGE_PATTERN_MAX_BYTES: usize = REQUEST_TARGET_MAX_BYTES + 512;
/// Memory the program of one regular expression may take, bytes.
pub const PURGE_REGEX_MAX_BYTES: usize = 256 * 1024;
/// Patterns in one order to purge.
pub const PURGE_PATTERNS_MAX: usize = 1_024;
/// Tags kept of one object, bytes; one with more is meant by every purge of a tag.
pub const TAGS_MAX_BYTES: usize = 16 * 1024;
/// Bad records that one pass over a cache names; more are only counted.
pub const BAD_RECORDS_SHOWN_MAX: usize = 1_000;
/// Longest body of a request to the admin server, bytes.
pub const ADMIN_BODY_MAX_BYTES: usize = 1024 * 1024;
/// How long past its lifetime an object stands in for a failing origin when neither it nor its site
/// says so, ms (RFC 5861 §4).
pub const GRACE_MS: u64 = 3_600_000;
/// Least time between two attempts to refresh an object that is used stale meanwhile, ms.
pub const REFRESH_EVERY_MS: u64 = 1_000;
/// Request fields that the responses of one URL may hang on; with more they are not stored.
pub const VARY_FIELDS_MAX: usize = 16;
/// Variants of one URL that are stored at once; the oldest makes room.
pub const VARIANTS_MAX: usize = 64;
/// Rules of `[[guard.limit]]`, defaults included.
pub const LIMIT_RULES_MAX: usize = 16;
/// Pairs of client and object that are watched at once; the least recent make room.
pub const VISITS_MAX: u32 = 65_536;
/// Objects that are told apart in the accounts; the least asked for make room.
pub const RANKED_OBJECTS_MAX: u32 = 4_096;
/// Verdicts on clients that wait for the control plane; beyond it they hold, and are not told.
pub const VERDICTS_WAITING_MAX: usize = 4_096;
/// Verdicts that are remembered, to explain them.
pub const VERDICTS_KEPT_MAX: usize = 4_096;
/// Connections at work on one object that bring a client a copy of it each.
pub const VISIT_CONNS_MAX: u32 = 1_024;
/// Least bytes a client must take in each `server.send_timeout` of an answer that waits for it.
pub const SEND_PACE_MIN_BYTES: u64 = 4 * 1024;

const _: () = assert!(OBJECT_MAX_BYTES / SLICE_MIN_BYTES <= u32::MAX as u64, "slices are u32");
const _: () = assert!(REQUEST_HEAD_MAX_BYTES <= RECEIVE_BUFFER_MAX_BYTES, "a head must fit");
const _: () = assert!(REQUEST_TARGET_MAX_BYTES < REQUEST_HEAD_MAX_BYTES, "414 before 431");
