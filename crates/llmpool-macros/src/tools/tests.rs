#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use insta::assert_snapshot;

use super::tools;
use crate::testing::{messages, pretty};

#[test]
fn block_with_tools_and_other_items() {
    let block = "
        #[cfg(feature = \"store\")]
        impl<T> Store<T> where T: Send {
            const SIZE: usize = 1;

            /// Adds a note.
            #[tool(timeout = 5, name = \"add_note\")]
            pub async fn add(&self, /** The note. */ note: &str, /** Its rank. */ rank: u8) -> Result<(), Error> {
                self.push(note, rank)
            }

            /// Returns the number of notes.
            #[cfg(feature = \"count\")]
            #[llmpool::tool]
            async fn count(&self) -> usize { self.len() }

            fn len(&self) -> usize { 0 }
        }";
    assert_snapshot!(pretty(tools(Default::default(), block.parse().unwrap())));
}

#[test]
fn mistaken_block_keeps_its_methods() {
    let block = "impl Store { #[tool] async fn add(&mut self, note: &str) {} }";
    assert_snapshot!(pretty(tools(
        "crate = crate::inner".parse().unwrap(),
        block.parse().unwrap()
    )));
}

#[test]
fn each_mistake_says_the_fix() {
    let receiver =
        "calls of tools run at the same time; take `&self`, and keep state that changes in a `Mutex`";
    for (block, expected) in [
        (
            "impl S { fn a(&self) {} }",
            "no method of this block is a tool; write `#[tool]` above one",
        ),
        (
            "impl T for S { #[doc = \"A.\"] #[tool] async fn a(&self) {} }",
            "tools are methods of a type, not of a trait; write `#[tools]` on `impl Type { … }`",
        ),
        (
            "impl S { #[doc = \"A.\"] #[tool] async fn a(&mut self) {} }",
            receiver,
        ),
        ("impl S { #[doc = \"A.\"] #[tool] async fn a(self) {} }", receiver),
        (
            "impl S { #[doc = \"A.\"] #[tool] async fn a(self: Arc<Self>) {} }",
            receiver,
        ),
        (
            "impl S { #[doc = \"A.\"] #[tool] async fn a() {} }",
            "a tool of a value takes `&self`; for a tool without a value, write `#[tool]` on a function outside of `impl`",
        ),
        (
            "impl S { #[doc = \"A.\"] #[tool] fn a(&self) {} }",
            "a function with `#[tool]` is awaited; write `async fn`",
        ),
        (
            "impl<T> S<T> { #[doc = \"A.\"] #[tool] async fn a(&self, #[doc = \"A.\"] a: Vec<T>) {} }",
            "the arguments of a tool have fixed types; replace `T` by a type",
        ),
        (
            "impl S { #[doc = \"A.\"] #[tool] async fn a<'a>(&'a self) {} }",
            "the arguments of a tool have fixed types without lifetimes; remove the generics",
        ),
        (
            "impl S { #[doc = \"A.\"] #[tool] #[tool] async fn a(&self) {} }",
            "a method is one tool; remove the second `#[tool]`",
        ),
        (
            "impl S { #[doc = \"A.\"] #[tool = 1] async fn a(&self) {} }",
            "options stand in parentheses; write `#[tool(timeout = 30)]`",
        ),
        (
            "impl S { #[doc = \"A.\"] #[tool(crate = a)] async fn a(&self) {} }",
            "`#[tool]` has no option `crate`: set it once, as `#[tools(crate = …)]` on the `impl` block",
        ),
        (
            "impl S { #[doc = \"A.\"] #[tool] async fn a(&self) {} #[doc = \"B.\"] #[tool(name = \"a\")] async fn b(&self) {} }",
            "the method `a` is a tool of the same name; set another `name`",
        ),
    ] {
        assert_eq!(
            messages(tools(Default::default(), block.parse().unwrap())),
            [expected],
            "{block}"
        );
    }
}

#[test]
fn methods_of_one_name_can_exclude_each_other() {
    let block = "impl S {
        /// A.
        #[tool]
        #[cfg(unix)]
        async fn a(&self) {}
        /// A.
        #[tool]
        #[cfg(not(unix))]
        async fn a(&self) {}
    }";
    assert_eq!(
        messages(tools(Default::default(), block.parse().unwrap())),
        Vec::<String>::new()
    );
}
