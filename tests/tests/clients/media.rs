//! ffprobe and ffmpeg, which seek in a video whose index is at its end.

use std::fs;

use edge_tests::{MIB, eventually, need};
use tempfile::tempdir;

use super::{Mirror, run};

#[test]
fn ffprobe_and_ffmpeg_seek() {
    let (Some(ffmpeg), Some(ffprobe)) = (need("ffmpeg"), need("ffprobe")) else { return };
    let Some(mirror) = Mirror::start() else { return };
    let film = mirror.nginx.root().join("film.mp4");
    let path = film.display().to_string();
    let source = "testsrc2=duration=20:size=640x360:rate=25";
    let quiet = ["-hide_banner", "-loglevel", "error", "-nostdin"];
    let make = ["-f", "lavfi", "-i", source, "-c:v", "mpeg4", "-qscale:v", "1", "-g", "25", &path];
    run(&ffmpeg, &mirror.nginx.root(), &[&quiet[..], &make].concat());
    let size = fs::metadata(&film).expect("it was made").len();
    assert!(size > 6 * MIB, "too short to seek in: {size} bytes");

    let dir = tempdir().expect("a directory");
    let look = |url: &str| {
        let say = ["-v", "error", "-of", "compact", "-show_streams", "-show_packets"];
        // Two places, the later one first.
        let there = ["-read_intervals", "17%+#20,4%+#20", url];
        let packets = run(&ffprobe, dir.path(), &[&say[..], &there].concat()).stdout;
        // The frames there, decoded.
        let cut = ["-ss", "11", "-i", url, "-frames:v", "10", "-f", "framemd5", "-"];
        let frames = run(&ffmpeg, dir.path(), &[&quiet[..], &cut].concat()).stdout;
        assert!(packets.len() > 1_000 && frames.len() > 300, "{packets:?} {frames:?}");
        (packets, frames)
    };
    let expected = look(&path);

    let url = mirror.node.url("/film.mp4");
    assert_eq!(look(&url), expected, "cold");
    eventually("seeks in the access log", || {
        let log = mirror.node.access_log();
        (log.iter().filter(|line| line["status"] == 206).count() > 2).then_some(())
    });
    // What is still missing, for the warm pass.
    let whole = mirror.node.get("/film.mp4").expect_status(200);
    assert!(whole.body == fs::read(&film).expect("it was made"), "the whole, after seeks");
    let before = mirror.nginx.sent().len();
    assert_eq!(look(&url), expected, "warm");
    assert_eq!(mirror.nginx.sent().len(), before, "warm, the origin sent bytes");
}
