//! Tells values that are texts from all others, without writing them as JSON.

use std::fmt;

use serde::ser::{Error, Impossible, Serialize, Serializer};

/// Returns the text if serde writes the value as a string: `&str`, `String`, a `char`, a variant without data.
pub(crate) fn as_text<T: Serialize + ?Sized>(value: &T) -> Option<String> {
    value.serialize(TextSerializer).ok()
}

/// Accepts strings, and stops at anything else.
struct TextSerializer;

#[derive(Debug)]
struct NotText;

impl fmt::Display for NotText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a text")
    }
}

impl std::error::Error for NotText {}

impl Error for NotText {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

macro_rules! not_text {
    ($($method:ident($($argument:ty),*) -> $output:ty;)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$output, NotText> {
            Err(NotText)
        })*
    };
}

type Never = Impossible<String, NotText>;

impl Serializer for TextSerializer {
    type Ok = String;
    type Error = NotText;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Never;

    fn serialize_str(self, text: &str) -> Result<String, NotText> {
        Ok(text.to_owned())
    }

    fn serialize_char(self, letter: char) -> Result<String, NotText> {
        Ok(letter.into())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Result<String, NotText> {
        Ok(name.to_owned())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<String, NotText> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<String, NotText> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<String, NotText> {
        Err(NotText)
    }

    not_text! {
        serialize_bool(bool) -> String;
        serialize_i8(i8) -> String;
        serialize_i16(i16) -> String;
        serialize_i32(i32) -> String;
        serialize_i64(i64) -> String;
        serialize_u8(u8) -> String;
        serialize_u16(u16) -> String;
        serialize_u32(u32) -> String;
        serialize_u64(u64) -> String;
        serialize_f32(f32) -> String;
        serialize_f64(f64) -> String;
        serialize_bytes(&[u8]) -> String;
        serialize_none() -> String;
        serialize_unit() -> String;
        serialize_unit_struct(&'static str) -> String;
        serialize_seq(Option<usize>) -> Never;
        serialize_tuple(usize) -> Never;
        serialize_tuple_struct(&'static str, usize) -> Never;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Never;
        serialize_map(Option<usize>) -> Never;
        serialize_struct(&'static str, usize) -> Never;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Never;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;
    use serde_json::value::RawValue;

    use super::as_text;

    #[test]
    fn texts_are_exactly_the_values_that_json_writes_as_strings() {
        #[derive(Serialize)]
        struct Name(&'static str);
        #[derive(Serialize)]
        enum Size {
            Small,
            Other(String),
        }
        fn check<T: Serialize + ?Sized>(value: &T) {
            let json = serde_json::to_string(value).unwrap();
            let expected: Option<String> = serde_json::from_str(&json).ok();
            assert_eq!(as_text(value), expected, "{json}");
        }
        check("a \"text\"");
        check(&String::from("a"));
        check(&'c');
        check(&Some("a"));
        check(&Name("a"));
        check(&Size::Small);
        check(&Size::Other("a".to_owned()));
        check(&["a"]);
        check(&BTreeMap::from([("a", "b")]));
        check(&1);
        check(&true);
        check(&());
        check(&*RawValue::from_string("[1]".to_owned()).unwrap());
    }
}
