//! Tab completion of commands, model names and paths in the interactive chat.

use std::fs;

use reedline::{Completer, CompletionResult, Span, Suggestion};

use super::slash_command::COMMANDS;

/// The maximum number of paths suggested at once.
const MAX_PATHS: usize = 100;

/// Completes commands, model names after `/model`, and paths after `/file`.
pub(super) struct ChatCompleter {
    pub(super) models: Vec<String>,
}

impl ChatCompleter {
    fn suggestions(&self, typed: &str) -> Vec<Suggestion> {
        let suggestion = |start: usize, value: &str, description: Option<&str>| Suggestion {
            value: value.to_owned(),
            description: description.map(str::to_owned),
            span: Span::new(start, typed.len()),
            ..Suggestion::default()
        };
        if let Some(name) = typed.strip_prefix("/model ") {
            let models = self.models.iter().filter(|model| model.contains(name.trim()));
            return models
                .map(|model| suggestion("/model ".len(), model, None))
                .collect();
        }
        if let Some(path) = typed.strip_prefix("/file ") {
            let paths = matching_paths(path.trim_start());
            let start = typed.len() - path.trim_start().len();
            return paths.iter().map(|path| suggestion(start, path, None)).collect();
        }
        if !typed.starts_with('/') {
            return Vec::new();
        }
        let commands = COMMANDS.iter().filter(|(name, ..)| name.starts_with(typed));
        commands
            .map(|(name, _, description)| suggestion(0, name, Some(description)))
            .collect()
    }
}

/// Returns up to 100 paths that start with `prefix`, sorted. Directories end in a slash. Hidden files are
/// included only if the file name in `prefix` starts with a dot.
fn matching_paths(prefix: &str) -> Vec<String> {
    let (directory, name) = prefix.split_at(prefix.rfind('/').map_or(0, |slash| slash + 1));
    let read_from = if directory.is_empty() { "." } else { directory };
    let entries = fs::read_dir(read_from).into_iter().flatten().flatten();
    let paths = entries.filter_map(|entry| {
        let found = entry.file_name().into_string().ok()?;
        let matches = found.starts_with(name) && (!found.starts_with('.') || name.starts_with('.'));
        let slash = if entry.path().is_dir() { "/" } else { "" };
        matches.then(|| format!("{directory}{found}{slash}"))
    });
    let mut paths: Vec<_> = paths.collect();
    paths.sort();
    paths.truncate(MAX_PATHS);
    paths
}

impl Completer for ChatCompleter {
    fn complete(&mut self, line: &str, cursor: usize) -> CompletionResult {
        CompletionResult::fresh(self.suggestions(line.get(..cursor).unwrap_or(line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_models_and_paths_are_completed() {
        let completer = ChatCompleter {
            models: vec!["openai/gpt-4o".to_owned(), "local/smol".to_owned()],
        };
        let suggested = |typed| -> Vec<String> {
            completer
                .suggestions(typed)
                .into_iter()
                .map(|suggestion| suggestion.value)
                .collect()
        };
        assert_eq!(suggested("/s"), ["/system", "/save"]);
        assert_eq!(suggested("/model sm"), ["local/smol"]);
        assert_eq!(suggested("/model "), ["openai/gpt-4o", "local/smol"]);
        assert!(suggested("hello").is_empty() && suggested("").is_empty());
        // Tests run in the directory of their crate.
        assert_eq!(suggested("/file Cargo"), ["Cargo.toml"]);
        assert_eq!(suggested("/file  src/comm"), ["src/commands/"]);
        assert!(suggested("/file nowhere/").is_empty());
    }
}
