//! The `llmpool` command.

fn main() {}
