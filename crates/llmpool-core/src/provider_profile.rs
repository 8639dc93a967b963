//! Profiles of known providers. A profile holds the properties of a provider that its responses do not
//! reveal. Profiles are looked up by the host of the base URL.
//!
//! A property is part of a profile only if calls would fail or lose information without it. Unknown providers
//! get the most conservative profile.

use crate::answer_format::AnswerFormat;
use crate::limits::LimitScope;
use crate::translate::{ChatCapabilities, ReasoningEcho};

/// The properties of a provider that must be known in advance, because its responses do not reveal them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderProfile {
    /// The short lower-case name of the provider, such as `openai`. The name is `unknown` for all unknown
    /// providers.
    pub name: &'static str,
    /// The hosts of the provider. An entry such as `.openai.azure.com` matches all subdomains. An entry such
    /// as `:11434` matches this port on any host, because local servers are recognized by their default port.
    hosts: &'static [&'static str],
    /// The request header that carries the API key.
    pub key_header: KeyHeader,
    /// The features of the Chat Completions API that the provider supports.
    pub chat_capabilities: ChatCapabilities,
    /// To what the provider's rate limits apply.
    pub limit_scope: LimitScope,
    /// The strongest format of structured answers that the provider does not ignore. A format that the provider
    /// refuses is not part of the profile, because the refusal reveals it.
    pub answer_format: AnswerFormat,
}

/// The request header that carries the API key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyHeader {
    /// The header `Authorization: Bearer KEY`, which most providers expect.
    #[default]
    Bearer,
    /// The header `api-key: KEY`, which Azure expects.
    ApiKey,
}

/// The Chat Completions features of OpenAI and Azure.
const OPENAI: ChatCapabilities = ChatCapabilities {
    developer_role: true,
    max_completion_tokens: true,
    openai_extensions: true,
    reasoning_echo: ReasoningEcho::Dropped,
};

/// The features of the original Chat Completions API, which every compatible server supports.
const BASIC: ChatCapabilities = ChatCapabilities {
    developer_role: false,
    max_completion_tokens: false,
    openai_extensions: false,
    reasoning_echo: ReasoningEcho::Dropped,
};

/// The Chat Completions features of providers that require the reasoning of earlier turns: they reject a
/// request with tool calls if the request does not repeat this reasoning.
const REQUIRES_REASONING: ChatCapabilities = ChatCapabilities {
    reasoning_echo: ReasoningEcho::Content,
    ..BASIC
};

const fn provider(
    name: &'static str,
    hosts: &'static [&'static str],
    chat_capabilities: ChatCapabilities,
) -> ProviderProfile {
    ProviderProfile {
        name,
        hosts,
        key_header: KeyHeader::Bearer,
        chat_capabilities,
        limit_scope: LimitScope::Model,
        answer_format: AnswerFormat::JsonSchema,
    }
}

/// The profiles of all known providers. Each host occurs in only one profile.
pub const PROFILES: [ProviderProfile; 17] = [
    provider("openai", &["api.openai.com"], OPENAI),
    // Azure's deployment URLs, which have an `api-version`, do not accept API keys as bearer tokens.
    ProviderProfile {
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
    // Anthropic ignores `response_format`, so that the model would not see the schema.
    ProviderProfile {
        answer_format: AnswerFormat::Text,
        ..provider("anthropic", &["api.anthropic.com"], BASIC)
    },
    provider("deepseek", &["api.deepseek.com"], REQUIRES_REASONING),
    provider("ark", &[".volces.com"], BASIC),
    provider("qianfan", &["qianfan.baidubce.com"], BASIC),
    provider("zhipu", &["open.bigmodel.cn", "api.z.ai"], BASIC),
    provider(
        "moonshot",
        &["api.moonshot.cn", "api.moonshot.ai"],
        REQUIRES_REASONING,
    ),
    provider("dashscope", &[".aliyuncs.com"], BASIC),
    ProviderProfile {
        limit_scope: LimitScope::Key,
        ..provider(
            "openrouter",
            &["openrouter.ai"],
            ChatCapabilities {
                reasoning_echo: ReasoningEcho::Details,
                ..BASIC
            },
        )
    },
    provider(
        "groq",
        &["api.groq.com"],
        ChatCapabilities {
            max_completion_tokens: true,
            ..BASIC
        },
    ),
    ProviderProfile {
        limit_scope: LimitScope::Key,
        ..provider("mistral", &["api.mistral.ai"], BASIC)
    },
    provider("together", &["api.together.xyz", "api.together.ai"], BASIC),
    provider("ollama", &["ollama.com", ":11434"], BASIC),
    provider("vllm", &[":8000"], BASIC),
    provider("llama.cpp", &[":8080"], BASIC),
    provider("lm-studio", &[":1234"], BASIC),
];

/// The profile of providers that are not in [`PROFILES`].
const UNKNOWN: ProviderProfile = provider("unknown", &[], BASIC);

impl ProviderProfile {
    /// Returns the profile of the provider at an authority (a host with an optional port), such as
    /// `api.openai.com` or `localhost:11434`. Returns the profile named `unknown` if no known provider
    /// matches.
    pub fn for_authority(authority: &str) -> &'static Self {
        let authority = authority.to_ascii_lowercase();
        let host = authority.strip_suffix(":443").unwrap_or(&authority);
        let matches =
            |known: &&str| host == *known || (known.starts_with(['.', ':']) && host.ends_with(*known));
        let known = PROFILES.iter().find(|profile| profile.hosts.iter().any(matches));
        known.unwrap_or(&UNKNOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profile_is_selected_by_exact_host_or_suffix() {
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
            assert_eq!(
                ProviderProfile::for_authority(authority).name,
                name,
                "{authority}"
            );
        }
    }

    #[test]
    fn hosts_are_unique() {
        let mut hosts: Vec<_> = PROFILES.iter().flat_map(|profile| profile.hosts).collect();
        let count = hosts.len();
        hosts.sort_unstable();
        hosts.dedup();
        assert_eq!(hosts.len(), count);
    }
}
