//! The corpora of the fuzzer, replayed: every input that ever was of interest, and its neighbours.

use std::fs;
use std::path::PathBuf;

use edge_tests::Random;
use edge_tests::fuzz::TARGETS;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let listed = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("no corpus {}: {error}", directory.display()));
    let mut inputs: Vec<Vec<u8>> =
        listed.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    inputs.sort();
    inputs
}

#[test]
fn every_input_of_the_corpora_still_holds() {
    for target in TARGETS {
        let inputs = corpus(target.name);
        assert!(inputs.len() >= 3, "{}: a corpus of {}", target.name, inputs.len());
        inputs.iter().for_each(|input| (target.check)(input));
    }
}

#[test]
fn so_do_their_neighbours() {
    let mut random = Random::new(9);
    for target in TARGETS {
        for input in corpus(target.name) {
            for _ in 0..50 {
                let mut near = input.clone();
                let at = random.below(near.len() as u64 + 1) as usize;
                match random.below(3) {
                    0 => near.insert(at, random.below(256) as u8),
                    1 => near.truncate(at),
                    _ => {
                        if let Some(byte) = near.get_mut(at) {
                            *byte = random.below(256) as u8;
                        }
                    }
                }
                (target.check)(&near);
            }
        }
    }
}
