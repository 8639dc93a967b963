//! What is known of providers beside what they say themselves: one entry for each, found by the host of the base URL.
//!
//! Only what a call would not work without, or would lose something without, belongs here; what an answer tells is read from it, and a
//! provider that is not here is treated as the most cautious one.

use crate::translate::{ChatCapabilities, ReasoningEcho};

/// One provider's ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// A short name.
    pub name: &'static str,
    /// Ends of its hosts, and of ports where it runs on one's own machine.
    hosts: &'static [&'static str],
    /// In which header a key is sent.
    pub key_header: KeyHeader,
    /// What its chats understand.
    pub accent: ChatCapabilities,
}

/// In which header a key is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyHeader {
    /// `Authorization: Bearer KEY`.
    #[default]
    Bearer,
    /// `api-key: KEY`.
    ApiKey,
}

/// OpenAI's own ways.
const OPENAI: ChatCapabilities = ChatCapabilities {
    developer_role: true,
    max_completion_tokens: true,
    openai_extensions: true,
    reasoning_echo: ReasoningEcho::Dropped,
};

/// The ways of before there were developers and reasoning, which everybody knows.
const PLAIN: ChatCapabilities = ChatCapabilities {
    developer_role: false,
    max_completion_tokens: false,
    openai_extensions: false,
    reasoning_echo: ReasoningEcho::Dropped,
};

/// Reasoning of earlier turns has to come back, or a turn with tools is refused.
const THINKING: ChatCapabilities = ChatCapabilities {
    reasoning_echo: ReasoningEcho::Content,
    ..PLAIN
};

const fn provider(name: &'static str, hosts: &'static [&'static str], accent: ChatCapabilities) -> Dialect {
    Dialect {
        name,
        hosts,
        key_header: KeyHeader::Bearer,
        accent,
    }
}

/// Every provider that something is known of.
pub const DIALECTS: [Dialect; 17] = [
    provider("openai", &["api.openai.com"], OPENAI),
    // Keys are taken as bearers too, but not behind dated URLs.
    Dialect {
        key_header: KeyHeader::ApiKey,
        ..provider(
            "azure",
            &[
                ".openai.azure.com",
                ".cognitiveservices.azure.com",
                ".services.ai.azure.com",
            ],
            OPENAI,
        )
    },
    provider("anthropic", &["api.anthropic.com"], PLAIN),
    provider("deepseek", &["api.deepseek.com"], THINKING),
    provider("ark", &[".volces.com"], PLAIN),
    provider("qianfan", &["qianfan.baidubce.com"], PLAIN),
    provider("zhipu", &["open.bigmodel.cn", "api.z.ai"], PLAIN),
    provider("moonshot", &["api.moonshot.cn", "api.moonshot.ai"], THINKING),
    provider("dashscope", &[".aliyuncs.com"], PLAIN),
    provider(
        "openrouter",
        &["openrouter.ai"],
        ChatCapabilities {
            reasoning_echo: ReasoningEcho::Details,
            ..PLAIN
        },
    ),
    provider(
        "groq",
        &["api.groq.com"],
        ChatCapabilities {
            max_completion_tokens: true,
            ..PLAIN
        },
    ),
    provider("mistral", &["api.mistral.ai"], PLAIN),
    provider("together", &["api.together.xyz", "api.together.ai"], PLAIN),
    provider("ollama", &["ollama.com", ":11434"], PLAIN),
    provider("vllm", &[":8000"], PLAIN),
    provider("llama.cpp", &[":8080"], PLAIN),
    provider("lm-studio", &[":1234"], PLAIN),
];

/// Of a provider that nothing is known of.
const UNKNOWN: Dialect = provider("unknown", &[], PLAIN);

impl Dialect {
    /// The provider at an authority, as in `api.openai.com` or `localhost:11434`.
    pub fn at(authority: &str) -> &'static Self {
        let authority = authority.to_ascii_lowercase();
        let bare = authority.strip_suffix(":443").unwrap_or(&authority);
        let known = DIALECTS.iter().find(|dialect| {
            let mut hosts = dialect.hosts.iter();
            // A whole host, or the end of one from a dot or a colon on.
            hosts.any(|host| bare == *host || (host.starts_with(['.', ':']) && bare.ends_with(host)))
        });
        known.unwrap_or(&UNKNOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_known_by_their_hosts_and_by_nothing_else() {
        for (authority, name) in [
            ("api.openai.com", "openai"),
            ("API.OpenAI.com:443", "openai"),
            ("mine.openai.azure.com", "azure"),
            ("ark.cn-beijing.volces.com", "ark"),
            ("dashscope-intl.aliyuncs.com", "dashscope"),
            ("localhost:11434", "ollama"),
            ("[::1]:8080", "llama.cpp"),
            ("api.openai.com.evil.example", "unknown"),
            ("evil-api.openai.com", "unknown"),
            ("notvolces.com", "unknown"),
            ("localhost:18080", "unknown"),
        ] {
            assert_eq!(Dialect::at(authority).name, name, "{authority}");
        }
    }

    #[test]
    fn nobody_is_there_twice() {
        let mut hosts: Vec<_> = DIALECTS.iter().flat_map(|dialect| dialect.hosts).collect();
        let count = hosts.len();
        hosts.sort_unstable();
        hosts.dedup();
        assert_eq!(hosts.len(), count);
    }
}
