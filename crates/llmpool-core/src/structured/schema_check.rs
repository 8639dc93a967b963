//! Finds what no provider can express, in schemas that are not sent in strict mode.

use serde_json::{Map, Value};

use super::reply_root::{has_no_value, target};
use super::schema_error::{SchemaError, Unsupported};

/// Keywords whose values are no schemas.
const DATA: [&str; 5] = ["const", "default", "enum", "examples", "required"];

/// Checks that all references have a target, and that no object requires a property whose type has no values.
///
/// # Errors
/// Returns the first place where this is not so. `type_name` is the first segment of its path.
pub(super) fn check(type_name: &str, document: &Value) -> Result<(), SchemaError> {
    let mut walk = SchemaPath {
        document,
        path: vec![type_name.to_owned()],
    };
    walk.schema(document)
}

struct SchemaPath<'a> {
    document: &'a Value,
    path: Vec<String>,
}

impl SchemaPath<'_> {
    fn schema(&mut self, schema: &Value) -> Result<(), SchemaError> {
        match schema {
            Value::Object(members) => self.keywords(members),
            Value::Array(schemas) => schemas.iter().try_for_each(|schema| self.schema(schema)),
            _ => Ok(()),
        }
    }

    fn keywords(&mut self, schema: &Map<String, Value>) -> Result<(), SchemaError> {
        if let Some(Value::String(reference)) = schema.get("$ref")
            && target(self.document, reference).is_none()
        {
            return Err(self.error(Unsupported::Reference(reference.clone())));
        }
        for (keyword, value) in schema {
            match (keyword.as_str(), value) {
                ("properties", Value::Object(properties)) => self.properties(schema, properties)?,
                ("$defs", Value::Object(definitions)) => self.definitions(definitions)?,
                ("items", value) => self.within("[]".to_owned(), value)?,
                (keyword, _) if DATA.contains(&keyword) => {}
                (_, value) => self.schema(value)?,
            }
        }
        Ok(())
    }

    fn properties(
        &mut self,
        schema: &Map<String, Value>,
        properties: &Map<String, Value>,
    ) -> Result<(), SchemaError> {
        let required = schema.get("required").and_then(Value::as_array);
        for (name, property) in properties {
            let is_required = required.is_some_and(|required| required.iter().any(|known| known == name));
            if is_required && has_no_value(self.document, property) {
                self.path.push(format!(".{name}"));
                return Err(self.error(Unsupported::NoValue));
            }
            self.within(format!(".{name}"), property)?;
        }
        Ok(())
    }

    fn definitions(&mut self, definitions: &Map<String, Value>) -> Result<(), SchemaError> {
        let path = std::mem::take(&mut self.path);
        for (name, definition) in definitions {
            self.within(name.clone(), definition)?;
        }
        self.path = path;
        Ok(())
    }

    fn within(&mut self, segment: String, schema: &Value) -> Result<(), SchemaError> {
        self.path.push(segment);
        self.schema(schema)?;
        self.path.pop();
        Ok(())
    }

    fn error(&self, reason: Unsupported) -> SchemaError {
        SchemaError::new(self.path.concat(), reason)
    }
}
