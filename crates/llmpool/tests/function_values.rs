//! Laws of functions: any value of the supported types arrives, whole and streamed in any pieces.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;

use llmpool::function::schemars::{self, JsonSchema};
use llmpool::function::{Call, FieldSegment, FinishedField, FunctionError, StreamedPart};
use llmpool::structured::ReplySchema;
use llmpool::testing::{ScriptedAnswer, ScriptedModel};
use llmpool::{LlmInterface, llm_function};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

type Result<T, E = FunctionError> = std::result::Result<T, E>;

/// A value with every supported shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
struct Everything {
    text: String,
    whole: i64,
    real: f64,
    flag: bool,
    letter: char,
    optional: Option<u32>,
    list: Vec<Shape>,
    nested: Page<Option<String>>,
    recursive: Vec<Tree>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
enum Shape {
    Empty,
    Circle(f64),
    Square { side: u16, colour: Colour },
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(rename_all = "snake_case")]
enum Colour {
    DarkRed,
    Blue,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Tree {
    Leaf { size: u8 },
    Branch { children: Vec<Tree> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
struct Page<T> {
    items: Vec<T>,
    total: u64,
}

/// A value with shapes that strict schemas do not support.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
struct Loose {
    map: BTreeMap<String, i32>,
    pair: (String, bool),
    any: Value,
}

/// Answer.
#[llm_function]
async fn everything(llm: &dyn LlmInterface) -> Result<Everything>;

/// Answer.
#[llm_function]
async fn loose(llm: &dyn LlmInterface) -> Result<Loose>;

/// Answer.
#[llm_function]
async fn list(llm: &dyn LlmInterface) -> Result<Vec<Shape>>;

/// Answer.
#[llm_function]
async fn number(llm: &dyn LlmInterface) -> Result<f64>;

/// Answer.
#[llm_function]
async fn choice(llm: &dyn LlmInterface) -> Result<Option<Colour>>;

/// Answer.
#[llm_function]
async fn map(llm: &dyn LlmInterface) -> Result<BTreeMap<String, Page<bool>>>;

/// Answer.
#[llm_function]
async fn text(llm: &dyn LlmInterface) -> Result<String>;

fn finite() -> impl Strategy<Value = f64> {
    prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL
}

fn colour() -> impl Strategy<Value = Colour> {
    prop_oneof![Just(Colour::DarkRed), Just(Colour::Blue)]
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Empty),
        finite().prop_map(Shape::Circle),
        (any::<u16>(), colour()).prop_map(|(side, colour)| Shape::Square { side, colour }),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = any::<u8>().prop_map(|size| Tree::Leaf { size });
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop::collection::vec(inner, 0..3).prop_map(|children| Tree::Branch { children })
    })
}

fn page<T: Clone + std::fmt::Debug>(item: impl Strategy<Value = T>) -> impl Strategy<Value = Page<T>> {
    (prop::collection::vec(item, 0..4), any::<u64>()).prop_map(|(items, total)| Page { items, total })
}

prop_compose! {
    fn any_everything()(
        (text, whole, real, flag) in (any::<String>(), any::<i64>(), finite(), any::<bool>()),
        letter in any::<char>(),
        optional in any::<Option<u32>>(),
        list in prop::collection::vec(shape(), 0..4),
        nested in page(any::<Option<String>>()),
        recursive in prop::collection::vec(tree(), 0..3),
    ) -> Everything {
        Everything { text, whole, real, flag, letter, optional, list, nested, recursive }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

prop_compose! {
    fn any_loose()(
        map in prop::collection::btree_map(any::<String>(), any::<i32>(), 0..4),
        pair in (any::<String>(), any::<bool>()),
        any in any_json(),
    ) -> Loose {
        Loose { map, pair, any }
    }
}

/// Cuts the text after about each of these fractions.
fn pieces(text: &str, cuts: &[prop::sample::Index]) -> Vec<String> {
    let mut places: Vec<usize> = cuts
        .iter()
        .map(|cut| text.floor_char_boundary(cut.index(text.len() + 1)))
        .chain([0, text.len()])
        .collect();
    places.sort_unstable();
    places
        .windows(2)
        .map(|place| text[place[0]..place[1]].to_owned())
        .collect()
}

fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..6)
}

/// A function without arguments, as the macro makes it.
type AnyFunction<T> = for<'llm> fn(&'llm dyn LlmInterface) -> Call<'llm, Result<T>>;

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

/// Reads the stream to its end. Returns its fields and the value.
async fn read_stream<T>(function: AnyFunction<T>, model: &ScriptedModel) -> (Vec<FinishedField>, T)
where
    T: Serialize + DeserializeOwned + JsonSchema + Send + std::fmt::Debug + 'static,
{
    let mut stream = function(model).stream();
    let mut fields = Vec::new();
    loop {
        match stream.next().await.unwrap().unwrap() {
            StreamedPart::Field(field) => fields.push(field),
            StreamedPart::Text(_) => {}
            StreamedPart::Value(reply) => return (fields, reply.value),
            other => panic!("{other:?}"),
        }
    }
}

/// A model replies with `value`: whole, and streamed in pieces. Both give the value. Each field of the stream is final:
/// it occurs once, its value is that in the reply, and its parent follows it.
fn assert_arrives<T>(
    function: AnyFunction<T>,
    value: &T,
    cuts: &[prop::sample::Index],
) -> Result<(), TestCaseError>
where
    T: PartialEq + Serialize + DeserializeOwned + JsonSchema + Send + std::fmt::Debug + 'static,
{
    let schema = ReplySchema::of::<T>().unwrap();
    let encoded = schema.encode(value).unwrap();
    let whole = ScriptedModel::new([ScriptedAnswer::text(encoded.clone())]);
    prop_assert_eq!(&block_on(function(&whole).into_future()).unwrap(), value);

    let streamed = ScriptedAnswer::text("").in_pieces(pieces(&encoded, cuts));
    let (fields, last) = block_on(read_stream(function, &ScriptedModel::new([streamed])));
    prop_assert_eq!(&last, value);
    if schema.response_format().is_none() {
        return Ok(());
    }
    let mut document: Value = serde_json::from_str(&encoded).unwrap();
    if !schema_is_object(value) {
        document = document["value"].take();
    }
    let mut expected = Vec::new();
    walk(&document, &mut Vec::new(), &mut expected);
    let seen = fields.iter().map(|field| {
        let segments = field.segments().iter().map(|segment| match segment {
            FieldSegment::Name(name) => name.to_string(),
            FieldSegment::Index(index) => index.to_string(),
        });
        let path = segments.collect::<Vec<_>>();
        (path, serde_json::from_str::<Value>(field.json()).unwrap())
    });
    prop_assert_eq!(seen.collect::<Vec<_>>(), expected);
    Ok(())
}

/// Returns whether the value is written as the reply itself, not as its member `value`.
fn schema_is_object<T: JsonSchema>(_: &T) -> bool {
    let schema = ReplySchema::of::<T>().unwrap();
    schema.encode(&Value::from(1)).unwrap() == "1"
}

/// Lists the values inside `value` with their paths, children before their parent.
fn walk(value: &Value, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, Value)>) {
    let mut visit = |name: String, inner: &Value| {
        path.push(name);
        walk(inner, path, found);
        found.push((path.clone(), inner.clone()));
        path.pop();
    };
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, inner)| visit(name.clone(), inner)),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(index, inner)| visit(index.to_string(), inner));
        }
        _ => {}
    }
}

macro_rules! laws {
    ($($name:ident: $function:ident, $values:expr;)*) => {
        proptest! {
            $(
                #[test]
                fn $name(value in $values, cuts in cuts()) {
                    assert_arrives($function, &value, &cuts)?;
                }
            )*
        }
    };
}

laws! {
    values_of_all_shapes_arrive: everything, any_everything();
    values_without_a_strict_schema_arrive: loose, any_loose();
    lists_arrive: list, prop::collection::vec(shape(), 0..5);
    numbers_arrive: number, finite();
    optional_enums_arrive: choice, prop::option::of(colour());
    maps_arrive: map, prop::collection::btree_map(any::<String>(), page(any::<bool>()), 0..4);
    texts_arrive: text, "[^\\s].*";
}
