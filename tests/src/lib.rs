//! The harness of the whole-node stories.
