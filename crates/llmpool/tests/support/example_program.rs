//! The programs in `examples/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Returns the command that runs an example with an empty environment. `cargo test` and `cargo nextest run` build the examples of the
/// packages that they test, into a directory beside the one of this test.
pub(crate) fn command(example: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let name = format!("{example}{}", std::env::consts::EXE_SUFFIX);
    let program = target.join("examples").join(name);
    assert!(
        program.exists(),
        "{} is missing; run cargo build --examples",
        program.display()
    );
    let mut command = Command::new(program);
    command.env_clear().current_dir(directory());
    command
}

/// Returns the folder of the examples.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// A provider file that is deleted when the value is dropped.
pub(crate) struct ProviderFile(PathBuf);

impl ProviderFile {
    /// Writes the file for an example. `provider` is the content.
    pub(crate) fn write(example: &str, provider: &Value) -> Self {
        let name = format!("llmpool-{example}-{}.json", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, provider.to_string()).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ProviderFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
