//! Recognizes errors that say that a provider or a model does not support the response format of a request.

use crate::provider_error::ProviderError;

/// The request fields that hold the response format: of Chat Completions, and of Responses.
const FIELDS: &[&str] = &["response_format", "text.format"];

/// Names of the response format in error messages, in lower case and without quotation marks.
const NAMES: &[&str] = &[
    "response_format",
    "response format",
    "response mime type",
    "text.format",
    "json_schema",
    "json_object",
    "json mode",
    "structured output",
];

/// Phrases in error messages, in lower case and without quotation marks, that mean that a format is not supported.
const REFUSALS: &[&str] = &[
    "not support",
    "unsupported",
    "unavailable",
    "not available",
    "not enabled",
    "enabled only",
    "not permitted",
    "not allowed",
    "type must be",
    "input should be text or",
    "supported values are",
    "unknown variant",
    "unknown parameter",
    "unknown field",
    "unrecognized",
    "not recognized",
    "extra field",
    "not implemented",
    "missing field value",
    "不支持",
];

/// Phrases in error messages, in lower case and without quotation marks, that mean that the schema is at fault, not
/// the format. The format is then supported, and the schema has to be changed.
const SCHEMA_FAULTS: &[&str] = &[
    "invalid schema",
    "invalid json schema",
    "in context=",
    "json_schema/",
    "json_schema.schema",
    "json_schema.name",
    "format.schema",
    "format.name",
    "keyword",
    "properties",
    "grammar",
    "$ref",
];

/// Returns whether the provider says that it does not support the response format of the request. Returns `false` if the
/// error is about another parameter, because its message may quote the request, or about the schema. An error about
/// the format as a whole can be about the schema, so its message must contain a phrase of refusal.
pub(super) fn refuses_response_format(error: &ProviderError) -> bool {
    let message = error.message.as_deref().unwrap_or_default().to_ascii_lowercase();
    let message = message.replace(['\'', '"', '`', '\\'], "");
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
    if says(SCHEMA_FAULTS) {
        return false;
    }
    // Some gateways write a missing parameter as text.
    match error.param.as_deref().filter(|param| *param != "None") {
        Some(param) if is_type(param) => true,
        Some(param) if FIELDS.contains(&param) => message.is_empty() || says(REFUSALS),
        Some(param) if FIELDS.iter().any(|field| param.starts_with(field)) => says(REFUSALS),
        Some(_) => false,
        None => says(NAMES) && says(REFUSALS),
    }
}

/// Returns whether the parameter is the type of the response format.
fn is_type(param: &str) -> bool {
    param
        .strip_suffix(".type")
        .is_some_and(|field| FIELDS.contains(&field))
}

#[cfg(test)]
mod tests {
    use super::super::{FailureKind, classify, classify_in_stream};
    use super::*;
    use crate::rate_headers::ErrorHeaders;

    fn kind(status: u16, body: &str) -> FailureKind {
        let error = ProviderError::parse(body.as_bytes());
        classify(status, &ErrorHeaders::default(), error.as_ref()).kind
    }

    #[test]
    fn refusals_of_the_response_format_are_recognized() {
        for (provider, status, body) in [
            (
                "OpenAI",
                400,
                r#"{"error":{"message":"Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model. Learn more about supported models at the Structured Outputs guide: https://platform.openai.com/docs/guides/structured-outputs","type":"invalid_request_error","param":null,"code":null}}"#,
            ),
            (
                "OpenAI, json_object",
                400,
                r#"{"error":{"message":"Invalid parameter: 'response_format' of type 'json_object' is not supported with this model.","type":"invalid_request_error","param":"response_format","code":null}}"#,
            ),
            (
                "OpenAI, Responses",
                400,
                r#"{"error":{"message":"Invalid parameter: 'text.format' of type 'json_schema' is not supported with model version `gpt-4`.","type":"invalid_request_error","param":"text.format","code":null}}"#,
            ),
            (
                "Azure, old API version",
                400,
                r#"{"error":{"message":"response_format value as json_schema is enabled only for api versions 2024-08-01-preview and later","type":"","param":"","code":"BadRequest"}}"#,
            ),
            (
                "DeepSeek",
                400,
                r#"{"error":{"message":"This response_format type is unavailable now","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
            ),
            (
                "DeepSeek, earlier",
                422,
                "Failed to deserialize the JSON body into the target type: response_format: response_format.type `json_schema` is unavailable now at line 1 column 1193",
            ),
            (
                "Ark",
                400,
                r#"{"error":{"code":"InvalidParameter","message":"The parameter `response_format.type` specified in the request are not valid: invalid value: `json_schema`, supported values are: `json_object` and `text`. Request id: 0217","param":"response_format.type","type":"BadRequest"}}"#,
            ),
            (
                "Groq",
                400,
                r#"{"error":{"message":"This model does not support response format `json_schema`. See supported models at https://console.groq.com/docs/structured-outputs#supported-models","type":"invalid_request_error","param":"response_format"}}"#,
            ),
            (
                "xAI",
                400,
                r#"{"code":"Client specified an invalid argument","error":"The response_format parameter is unsupported at the moment. Leave it unset."}"#,
            ),
            (
                "SiliconFlow",
                400,
                r#"{"code":20024,"message":"Json mode is not supported for this model.","data":null}"#,
            ),
            (
                "DeepInfra",
                405,
                r#"{"error":{"message":"json_object response format is not supported for model: stepfun-ai/Step-3.5-Flash"}}"#,
            ),
            (
                "Gemini",
                400,
                r#"{"error":{"code":400,"message":"Json mode is not enabled for models/gemini-pro","status":"INVALID_ARGUMENT"}}"#,
            ),
            (
                "Gemini, with tools",
                400,
                r#"{"error":{"code":400,"message":"Function calling with a response mime type: 'application/json' is unsupported","status":"INVALID_ARGUMENT"}}"#,
            ),
            (
                "LM Studio, json_object",
                400,
                r#"{"error":"'response_format.type' must be 'json_schema' or 'text'"}"#,
            ),
            (
                "llama.cpp, earlier",
                500,
                r#"{"error":{"code":500,"message":"response_format type must be one of \"text\" or \"json_object\", but got: json_schema","type":"server_error"}}"#,
            ),
            (
                "llama-cpp-python",
                500,
                r#"{"error":{"message":"[{'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), 'msg': \"Input should be 'text' or 'json_object'\", 'input': 'json_schema'}]","type":"internal_server_error","param":null,"code":null}}"#,
            ),
            (
                "FastAPI",
                422,
                r#"{"detail":[{"type":"literal_error","loc":["body","response_format","type"],"msg":"Input should be 'text' or 'json_object'","input":"json_schema"}]}"#,
            ),
            (
                "FastAPI, unknown member",
                422,
                r#"{"detail":[{"type":"extra_forbidden","loc":["body","response_format","json_schema"],"msg":"Extra inputs are not permitted"}]}"#,
            ),
            (
                "text-generation-inference",
                422,
                "Failed to deserialize the JSON body into the target type: response_format: missing field `value` at line 1 column 168",
            ),
            (
                "LiteLLM",
                400,
                r#"{"error":{"message":"This response_format type is unavailable now","type":"None","param":"None","code":"400"}}"#,
            ),
            (
                "not found",
                404,
                r#"{"error":{"message":"No endpoint supports structured outputs: response_format is not supported","code":404}}"#,
            ),
            (
                "not implemented",
                501,
                r#"{"error":{"code":"not_implemented","param":"response_format"}}"#,
            ),
            (
                "unknown extra field",
                400,
                r#"{"error":{"message":"Extra field is not recognized","param":"response_format"}}"#,
            ),
            (
                "type",
                400,
                r#"{"error":{"message":"words","param":"response_format.type"}}"#,
            ),
        ] {
            assert_eq!(
                kind(status, body),
                FailureKind::ResponseFormatRefused,
                "{provider}"
            );
        }
    }

    #[test]
    fn faults_of_the_schema_and_of_other_parameters_are_no_refusals() {
        for (provider, body) in [
            (
                "OpenAI",
                r#"{"error":{"message":"Invalid schema for response_format 'dish': In context=(), 'additionalProperties' is required to be supplied and to be false.","type":"invalid_request_error","param":"response_format","code":null}}"#,
            ),
            (
                "OpenAI, Responses",
                r#"{"error":{"message":"Invalid schema for response_format 'x': In context=('properties', 'a'), 'format' is not permitted.","type":"invalid_request_error","param":"text.format.schema","code":"invalid_json_schema"}}"#,
            ),
            (
                "OpenAI, missing member",
                r#"{"error":{"message":"Missing required parameter: 'response_format.json_schema'.","type":"invalid_request_error","param":"response_format.json_schema","code":"missing_required_parameter"}}"#,
            ),
            (
                "OpenAI, json_object without the word",
                r#"{"error":{"message":"'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.","type":"invalid_request_error","param":"messages","code":null}}"#,
            ),
            (
                "DeepSeek, json_object without the word",
                r#"{"error":{"message":"Prompt must contain the word 'json' in some form to use 'response_format' of type 'json_object'.","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
            ),
            (
                "Groq",
                r#"{"error":{"message":"invalid schema for response format: response_format/json_schema/next_step: minItems is not supported","type":"invalid_request_error"}}"#,
            ),
            (
                "LM Studio",
                r#"{"error":"'response_format.json_schema.schema' must be an object"}"#,
            ),
            (
                "keyword",
                r#"{"error":{"message":"json_schema: the keyword minItems is not supported","param":"response_format"}}"#,
            ),
            (
                "vLLM",
                r#"{"object":"error","message":"The provided JSON schema contains features not supported by xgrammar.","type":"BadRequestError","param":null,"code":400}"#,
            ),
            (
                "the format as a whole, without a refusal",
                r#"{"error":{"message":"words","type":"invalid_request_error","param":"response_format"}}"#,
            ),
            (
                "missing member",
                r#"{"error":{"message":"Field required","type":"invalid_request_error","param":"text.format"}}"#,
            ),
            (
                "another parameter that quotes the request",
                r#"{"error":{"message":"Invalid value 'json_schema is not supported'","param":"messages[0].content"}}"#,
            ),
            (
                "another parameter",
                r#"{"error":{"message":"'top_k' is not supported with this model","param":null}}"#,
            ),
        ] {
            assert_eq!(kind(400, body), FailureKind::InvalidRequest, "{provider}");
        }
    }

    #[test]
    fn other_causes_outrank_the_response_format() {
        let body = |code: &str| {
            format!(
                r#"{{"error":{{"message":"response_format is not supported","param":"response_format","code":"{code}"}}}}"#
            )
        };
        for (status, code, expected) in [
            (400, "context_length_exceeded", FailureKind::ContextLength),
            (404, "model_not_found", FailureKind::ModelNotFound),
            (401, "x", FailureKind::InvalidKey),
            (429, "x", FailureKind::RateLimited),
            (503, "x", FailureKind::Overloaded),
        ] {
            assert_eq!(kind(status, &body(code)), expected, "{status} {code}");
        }
    }

    #[test]
    fn refusals_in_a_success_response_are_recognized() {
        for body in [
            r#"{"error":{"message":"response_format is not supported","code":400}}"#,
            r#"{"error":{"message":"response_format is not supported"}}"#,
        ] {
            let error = ProviderError::parse(body.as_bytes()).unwrap();
            assert_eq!(
                classify_in_stream(&error).kind,
                FailureKind::ResponseFormatRefused,
                "{body}"
            );
        }
    }
}
