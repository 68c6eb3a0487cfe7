//! What values must look like, as the OpenAPI document says it: one form for each kind of value, named by the bodies and
//! queries of the other modules (`#[schema(value_type = forms::Name)]`).
//!
//! Nothing is checked here. The bounds are those of `cluster::state::Limits` and of whoever checks; schemathesis
//! (`./just security schema`) finds out where the two differ.

use std::borrow::Cow;

use cluster::state::Limits;
use utoipa::openapi::schema::{AdditionalProperties, KnownFormat, SchemaFormat, SchemaType};
use utoipa::openapi::{ArrayBuilder, Object, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::auth::passphrase;

/// Anything but control characters, and something that is no white space among it.
const ONE_LINE: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*[^\\u0000-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]\
[^\\u0000-\\u001f\\u007f-\\u009f]*$";
/// As one line, without what turns the direction of text round.
const TITLE: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069]*\
[^\\u0000-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200a\\u2028-\\u202f\\u205f\\u2066-\\u2069\\u3000]\
[^\\u0000-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069]*$";
/// Several lines: of control characters, only those that end or indent one.
const LINES: &str = "^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f]*$";
/// Letters and digits of any script, and `. _ - + @`; which of the others are letters, Unicode says.
const USERNAME: &str = "^[^\\u0000-\\u002a,/:-?\\[-\\^`{-\\u00a0]+$";

/// `tus::MAX_SIZE`.
const LARGEST_UPLOAD: usize = 1 << 46;

/// A kind of value that the document knows by name.
macro_rules! form {
    ($(#[doc = $says:literal])+ $name:ident, $schema:expr) => {
        $(#[doc = $says])+
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text = [$($says),+].map(str::trim).join("\n");
                $schema.description(Some(text)).build().into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    };
}

fn text(pattern: &str, fewest: usize, most: u32) -> ObjectBuilder {
    let object = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    object.min_length(Some(fewest)).max_length(Some(most as usize))
}

fn of_pattern(pattern: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern))
}

form!(
    /// The number of an alert.
    AlertNumber,
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0usize)).maximum(Some(usize::MAX))
);
form!(
    /// What this node gave something to be known by.
    Id,
    of_pattern("^[0-7][0-9abcdefghjkmnpqrstvwxyz]{25}$")
);
form!(
    /// The number of a node.
    NodeNumber,
    of_pattern("^[0-9]{1,19}$")
);
form!(
    /// One line with something in it; white space around it is taken off.
    Name,
    text(ONE_LINE, 1, Limits::NAME)
);
form!(
    /// As a name, without characters that override the direction of text.
    Title,
    text(TITLE, 1, Limits::NAME)
);
form!(
    /// A word to find assets by.
    Tag,
    text(ONE_LINE, 1, Limits::TAGS.1)
);
form!(
    /// Free text of several lines.
    Description,
    text(LINES, 0, Limits::DESCRIPTION)
);
form!(
    /// Why.
    Reason,
    text(LINES, 0, Limits::REASON)
);
form!(
    /// A user name: letters, digits and `. _ - + @`. Kept in lower case.
    Username,
    text(USERNAME, 1, Limits::USERNAME)
);
form!(
    /// A new passphrase. None that is among the first to be guessed is taken, nor one that is little more than the user name.
    Passphrase,
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(passphrase::SHORTEST))
        .max_length(Some(passphrase::LONGEST))
);
form!(
    /// A SHA-256 in hexadecimal digits.
    Fingerprint,
    of_pattern("^[0-9A-Fa-f]{64}$")
);
form!(
    /// A language as BCP 47 names it, such as `de` or `pt-BR`.
    Language,
    text("^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$", 2, 35)
);
form!(
    /// The bytes of a file.
    Binary,
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
        .min_length(Some(1))
);
form!(
    /// Some bytes of a file, or none.
    Piece,
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
);
form!(
    /// The name of a file, and no path.
    FileName,
    text("^[^\\u0000-\\u001f\\u007f-\\u009f/\\\\]+$", 1, 255)
);
form!(
    /// The version of tus that is spoken.
    TusVersion,
    of_pattern("^1\\.0\\.0$")
);
form!(
    /// How long a file will be, in bytes.
    FileLength,
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1usize)).maximum(Some(LARGEST_UPLOAD))
);
form!(
    /// Where in a file, in bytes.
    FileOffset,
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0usize)).maximum(Some(LARGEST_UPLOAD))
);
form!(
    /// Milliseconds since 1970.
    Milliseconds,
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0usize)).maximum(Some(usize::MAX))
);
form!(
    /// Milliseconds since 1970 that the audit log can be asked for.
    Moment,
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0usize)).maximum(Some(usize::MAX >> 1))
);
form!(
    /// A whole number of 32 bits.
    Number,
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0usize)).maximum(Some(u32::MAX as usize))
);
form!(
    /// A port.
    Port,
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1usize)).maximum(Some(usize::from(u16::MAX)))
);
form!(
    /// Own fields by their names.
    Fields,
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property_names(Some(text(ONE_LINE, 1, Limits::FIELDS.1).build()))
        .additional_properties(Some(AdditionalProperties::RefOr(text(LINES, 0, Limits::FIELDS.2).build().into())))
        .max_properties(Some(Limits::FIELDS.0 as usize))
);
form!(
    /// All tags of an asset; none of them twice, in whatever case.
    Tags,
    ArrayBuilder::new()
        .items(Ref::from_schema_name("Tag"))
        .max_items(Some(Limits::TAGS.0 as usize))
        .unique_items(true)
);

/// One way to say which assets are meant: what is named here is given, and nothing else.
fn one_of_them(named: &[(&str, &str)]) -> Object {
    let all = ["asset", "collection", "tag", "application"];
    let mut object = ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    for name in all {
        object = match named.iter().find(|(given, _)| *given == name) {
            Some((_, form)) => object.property(name, Ref::from_schema_name(*form)).required(name),
            None => object.property(name, ObjectBuilder::new().schema_type(SchemaType::from(Type::Null))),
        };
    }
    object.build()
}

/// Which assets: exactly one of `asset`, `collection` and `tag` with its `application`.
#[must_use]
pub fn selection() -> RefOr<Schema> {
    let says = "Which assets: exactly one of `asset`, `collection` and `tag` with its application. Those that come to match \
                later are meant too.";
    let choice = OneOfBuilder::new()
        .item(one_of_them(&[("asset", "Id")]))
        .item(one_of_them(&[("collection", "Id")]))
        .item(one_of_them(&[("tag", "Tag"), ("application", "Id")]))
        .description(Some(says))
        .build();
    RefOr::T(Schema::OneOf(choice))
}

/// The forms that no body has: the document's schemas do not bring them along.
#[must_use]
pub fn of_parameters() -> Vec<(String, RefOr<Schema>)> {
    fn named<T: ToSchema>() -> (String, RefOr<Schema>) {
        (T::name().into_owned(), T::schema())
    }
    vec![
        named::<AlertNumber>(),
        named::<Binary>(),
        named::<FileLength>(),
        named::<FileName>(),
        named::<FileOffset>(),
        named::<Language>(),
        named::<Moment>(),
        named::<Piece>(),
        named::<Tag>(),
        named::<TusVersion>(),
    ]
}
