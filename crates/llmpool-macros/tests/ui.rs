//! The compiler's words for each misuse of the attributes: one error at the right place that says the fix, and all
//! mistakes of one item at once.

#[test]
fn misuse_of_the_attributes_is_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
