//! A provider that misbehaves on request.
