//! One interface over every OpenAI-compatible provider.
