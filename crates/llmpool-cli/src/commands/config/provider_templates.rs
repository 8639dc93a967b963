//! Templates of known providers for `llmpool config init`. A test compares the templates with the files in
//! `examples/providers/`.

/// The default settings of a known provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProviderTemplate {
    pub(super) name: &'static str,
    pub(super) base_url: &'static str,
    /// The default model. The provider served it when the template was written.
    pub(super) model: &'static str,
    /// Name of the environment variable that usually contains the API key. `None` if the server needs no key.
    pub(super) key: Option<&'static str>,
}

const fn keyed(
    name: &'static str,
    base_url: &'static str,
    model: &'static str,
    key: &'static str,
) -> ProviderTemplate {
    ProviderTemplate {
        name,
        base_url,
        model,
        key: Some(key),
    }
}

const fn local(name: &'static str, base_url: &'static str, model: &'static str) -> ProviderTemplate {
    ProviderTemplate {
        name,
        base_url,
        model,
        key: None,
    }
}

pub(super) const TEMPLATES: [ProviderTemplate; 17] = [
    keyed(
        "openai",
        "https://api.openai.com/v1",
        "gpt-4o-mini",
        "OPENAI_API_KEY",
    ),
    keyed(
        "anthropic",
        "https://api.anthropic.com/v1",
        "claude-sonnet-4-5",
        "ANTHROPIC_API_KEY",
    ),
    keyed(
        "deepseek",
        "https://api.deepseek.com",
        "deepseek-chat",
        "DEEPSEEK_API_KEY",
    ),
    keyed(
        "openrouter",
        "https://openrouter.ai/api/v1",
        "openai/gpt-4o-mini",
        "OPENROUTER_API_KEY",
    ),
    keyed(
        "groq",
        "https://api.groq.com/openai/v1",
        "llama-3.3-70b-versatile",
        "GROQ_API_KEY",
    ),
    keyed(
        "mistral",
        "https://api.mistral.ai/v1",
        "mistral-small-latest",
        "MISTRAL_API_KEY",
    ),
    keyed(
        "together",
        "https://api.together.xyz/v1",
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "TOGETHER_API_KEY",
    ),
    keyed(
        "azure",
        "https://RESOURCE.openai.azure.com/openai/v1",
        "my-deployment",
        "AZURE_OPENAI_API_KEY",
    ),
    keyed(
        "ark",
        "https://ark.cn-beijing.volces.com/api/v3",
        "ep-20260101000000-abcde",
        "ARK_API_KEY",
    ),
    keyed(
        "qianfan",
        "https://qianfan.baidubce.com/v2",
        "ernie-4.5-turbo-128k",
        "QIANFAN_API_KEY",
    ),
    keyed(
        "zhipu",
        "https://open.bigmodel.cn/api/paas/v4",
        "glm-4.6",
        "ZHIPU_API_KEY",
    ),
    keyed(
        "moonshot",
        "https://api.moonshot.cn/v1",
        "kimi-k2-turbo-preview",
        "MOONSHOT_API_KEY",
    ),
    keyed(
        "dashscope",
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        "qwen-plus",
        "DASHSCOPE_API_KEY",
    ),
    local("ollama", "http://localhost:11434/v1", "llama3.2"),
    local(
        "vllm",
        "http://localhost:8000/v1",
        "meta-llama/Llama-3.1-8B-Instruct",
    ),
    local("llama-cpp", "http://localhost:8080/v1", "any"),
    local("lm-studio", "http://localhost:1234/v1", "qwen2.5-7b-instruct"),
];

/// Returns the template of the named provider, if the provider is known.
pub(super) fn find(name: &str) -> Option<ProviderTemplate> {
    TEMPLATES.into_iter().find(|template| template.name == name)
}

/// Returns the names of all known providers, separated by commas.
pub(super) fn names() -> String {
    TEMPLATES.map(|template| template.name).join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn templates_match_the_example_files() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/providers");
        for template in TEMPLATES {
            let text = std::fs::read_to_string(folder.join(format!("{}.json", template.name))).unwrap();
            let file: serde_json::Value = serde_json::from_str(&text).unwrap();
            let entries = file
                .as_object()
                .unwrap()
                .iter()
                .find(|(name, _)| *name != "$schema");
            let entry = &entries.unwrap().1[0];
            assert_eq!(entry["base_url"], template.base_url, "{}", template.name);
            assert_eq!(entry["model_name"], template.model, "{}", template.name);
            if let Some(key) = template.key {
                assert_eq!(entry["api_keys"][0], format!("${{{key}}}"), "{}", template.name);
            }
        }
    }
}
