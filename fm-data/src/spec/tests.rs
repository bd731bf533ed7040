use polars::prelude::*;

use super::*;
use crate::table::{CompactTable, ListText, TextColumns};

const HEAD: &str = "label = \"y\"\n";

fn loaded(text: &str) -> Result<TableSpec> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schema.toml");
    std::fs::write(&path, text).unwrap();
    TableSpec::load(path)
}

fn refused(text: &str) -> String {
    let error = loaded(text).unwrap_err().to_string();
    error.split_once("schema.toml").unwrap().1.into()
}

fn field(name: &str, more: &str) -> String {
    format!("[[field]]\nname = \"{name}\"\nkind = \"categorical\"\n{more}")
}

#[test]
fn a_numeric_field_may_have_a_transform() {
    let number = |more: &str| format!("{HEAD}[[field]]\nname = \"n\"\nkind = \"numeric\"\n{more}");
    for (more, kind) in [
        ("", FieldSpecKind::Numeric),
        ("transform = \"standardize\"", FieldSpecKind::Numeric),
        ("transform = \"log\"", FieldSpecKind::Transformed(TransformSpec::Log)),
        ("transform = \"min-max\"", FieldSpecKind::Transformed(TransformSpec::MinMax)),
        ("transform = \"identity\"", FieldSpecKind::Transformed(TransformSpec::Identity)),
        ("transform = \"buckets\"", FieldSpecKind::Transformed(TransformSpec::Buckets { buckets: 32 })),
        ("transform = \"buckets\"\nbuckets = 9", FieldSpecKind::Transformed(TransformSpec::Buckets { buckets: 9 })),
        ("transform = \"criteo-log\"", FieldSpecKind::Transformed(TransformSpec::CriteoLog)),
    ] {
        let spec = loaded(&number(more)).unwrap();
        assert_eq!(spec.fields[0].kind, kind);
        // As the settings of a run keep it.
        assert_eq!(toml::from_str::<TableSpec>(&toml::to_string(&spec).unwrap()).unwrap(), spec);
    }
    let problem = |more: &str| refused(&number(more));
    let error = problem("transform = \"logarithm\"");
    assert!(error.starts_with(", line 5: unknown variant `logarithm`") && error.contains("`log`"), "{error}");
    assert!(problem("buckets = 9").ends_with("field `n` has buckets, which only transform = \"buckets\" uses"));
    let bounds = "field `n` has 0 buckets: declare 1 to 65536";
    assert!(problem("transform = \"buckets\"\nbuckets = 0").ends_with(bounds));
    assert!(problem("transform = \"buckets\"\nbuckets = 65537").contains("65537 buckets"));
    assert!(problem("transform = \"buckets\"\nhash_buckets = 9").contains("is numeric and cannot have hash_buckets"));
    let stray = refused(&format!("{HEAD}{}", field("c", "transform = \"log\"")));
    assert!(stray.ends_with(", line 3: field `c` has a transform, which only numeric fields have"), "{stray}");
}

#[test]
fn a_field_may_be_a_part_of_a_time_or_a_cross_of_other_fields() {
    let time = |name: &str, more: &str| format!("[[field]]\nname = \"{name}\"\ncolumn = \"ts\"\n{more}\n");
    let fields = [
        field("user", "side = \"user\"\n"),
        field("device", "side = \"user\"\n"),
        time("hour", "kind = \"categorical\"\ntime = \"hour\""),
        time("wave", "kind = \"numeric\"\ntime = \"weekday\"\ntransform = \"sin\""),
        time("age", "kind = \"numeric\"\ntime = \"age\""),
        time("age_then", "kind = \"numeric\"\ntime = \"age\"\nuntil = \"2024-01-01\"\ntransform = \"log\""),
        "[[field]]\nname = \"of_user\"\ncross = [\"user\", \"device\"]\nhash_buckets = 9\n".into(),
        "[[field]]\nname = \"both\"\ncross = [\"device\", \"hour\"]\nmin_count = 2\n".into(),
    ];
    let head = format!("timestamp = \"when\"\nuser = \"user\"\n{HEAD}");
    let spec = loaded(&format!("{head}{}", fields.concat())).unwrap();
    let found = |name: &str| spec.fields.iter().find(|field| field.name == name).unwrap();
    assert_eq!(found("wave").kind, FieldSpecKind::Transformed(TransformSpec::Sin { period: 7.0 }));
    assert_eq!(
        (found("age").derived.until.as_deref(), found("age_then").derived.until_date()),
        (Some("when"), Some("2024-01-01"))
    );
    assert_eq!((found("of_user").side, found("both").side), (Side::User, Side::Context));
    assert_eq!(found("both").kind, FieldSpecKind::Categorical);
    assert_eq!(toml::from_str::<TableSpec>(&toml::to_string(&spec).unwrap()).unwrap(), spec);
    let needed: Vec<String> = spec.read_options().columns.needed.into_iter().map(|needed| needed.name).collect();
    assert_eq!(needed, ["user", "device", "ts", "ts", "ts", "when", "ts", "y", "when"]);

    let frame = df!(
        "user" => ["ann", "bob"], "device" => ["tv ", "NA"], "ts" => ["2024-01-02T03:04", "NA"],
        "when" => ["2024-01-03T03:04", "2024-01-03"], "y" => ["0", "1"],
    );
    let nulls = TableSpec { null_values: vec!["NA".into()], ..spec };
    let table = nulls.with_fields(CompactTable::try_from(&frame.unwrap()).unwrap()).unwrap();
    for (name, cells) in [
        ("hour", [Some("3"), None]),
        ("wave", [Some("1"), None]),
        ("age", [Some("1"), None]),
        ("age_then", [Some("-1.12777"), None]),
        ("of_user", [Some("ann&tv"), None]),
        ("both", [Some("tv&3"), None]),
    ] {
        assert!(table.texts(name).unwrap().iter().eq(cells), "{name}: {:?}", table.texts(name).unwrap());
    }
}

#[test]
fn times_and_crosses_that_contradict_themselves_are_errors_of_one_line() {
    let number = |name: &str| field(name, "").replace("categorical", "numeric");
    let cross = |parts: &str, more: &str| format!("[[field]]\nname = \"x\"\ncross = [{parts}]\n{more}");
    for (fields, reason) in [
        (field("ts", "time = \"hour\"\n"), "field `ts` is the hour of a time: give it a name of its own"),
        (field("h", "column = \"h\"\ntime = \"hour\"\n"), "field `h` is the hour of a time: give it a name of its own"),
        (field("h", "column = \"ts\"\ntime = \"age\"\n"), "field `h` is an age, which is a number: declare it numeric"),
        (number("h") + "column = \"ts\"\ntime = \"age\"\n", "field `h` is an age: declare until when"),
        (number("h") + "column = \"ts\"\ntime = \"age\"\nuntil = \"y\"\n", "field `h` reads `y`, which is the label"),
        (field("h", "column = \"ts\"\ntime = \"hour\"\nuntil = \"a\"\n"), "has until, which only time = \"age\" uses"),
        (field("h", "until = \"a\"\n"), "has until, which only time = \"age\" uses"),
        (
            field("h", "column = \"ts\"\ntime = \"hour\"\n").replace("categorical", "sequence"),
            "field `h` is a list, which has no hour",
        ),
        (number("n") + "transform = \"sin\"\n", "field `n` needs the period of its numbers"),
        (number("n") + "transform = \"log\"\nperiod = 3\n", "field `n` has a period, which only transform"),
        (number("n") + "transform = \"cos\"\nperiod = 0\n", "field `n` has the period 0"),
        (field("a", "period = 2\n"), "field `a` has a period, which only numeric fields have"),
        (field("a", "").replace("kind = \"categorical\"\n", ""), "field `a` has no kind"),
        (field("a", "") + &cross("\"a\"", ""), "field `x` crosses `a` alone"),
        (field("a", "") + &cross("\"a\", \"aa\"", ""), "crosses `aa`, which is not a field; did you mean `a`?"),
        (field("a", "") + &cross("\"a\", \"x\"", ""), "field `x` crosses `x`, itself"),
        (field("a", "") + &cross("\"a\", \"a\"", ""), "field `x` crosses `a`, twice"),
        (field("a", "") + &number("n") + &cross("\"a\", \"n\"", ""), "field `x` crosses `n`, which is numeric"),
        (
            field("a", "") + &field("l", "").replace("categorical", "multi-valued") + &cross("\"a\", \"l\"", ""),
            "field `x` crosses `l`, which has several values in a row",
        ),
        (
            [
                field("a", ""),
                field("b", ""),
                cross("\"a\", \"b\"", ""),
                cross("\"x\", \"b\"", "").replace("\"x\"\nc", "\"z\"\nc"),
            ]
            .concat(),
            "field `z` crosses `x`, which crosses fields itself",
        ),
        (
            field("a", "") + &cross("\"a\", \"b\"", "column = \"c\"\n") + &field("b", ""),
            "reads no column: leave column out",
        ),
        (field("a", "") + &cross("\"a\", \"b\"", "kind = \"numeric\"\n") + &field("b", ""), "leave the kind out"),
        (field("a", "") + &cross("\"a\", \"b\"", "time = \"hour\"\n") + &field("b", ""), "has a time and a cross"),
        (
            field("a", "") + &cross("\"a\", \"b\"", "") + &field("b", "column = \"x\"\n"),
            "has the name of the column of field `b`",
        ),
    ] {
        let error = refused(&format!("{HEAD}{fields}"));
        assert!(error.contains(reason) && !error.contains('\n'), "{error}");
    }
    let time = field("h", "column = \"ts\"\ntime = \"hours\"\n");
    let error = refused(&format!("{HEAD}{time}"));
    assert!(error.contains("unknown variant `hours`") && error.ends_with("did you mean `hour`?"), "{error}");
    let user = field("h", "column = \"ts\"\ntime = \"hour\"\n");
    let error = refused(&format!("user = \"h\"\n{HEAD}{user}"));
    assert!(error.contains("user = \"h\" has a time or a cross"), "{error}");
}

#[test]
fn several_fields_may_read_one_column() {
    let field = |name: &str, column: &str, more: &str| {
        format!("[[field]]\nname = \"{name}\"\ncolumn = \"{column}\"\nkind = \"categorical\"\n{more}\n")
    };
    let read = |fields: &[String], roles: &str| loaded(&format!("{HEAD}{roles}{}", fields.concat()));
    let tags = field("tags", "tag", "").replace("categorical", "multi-valued");
    let fields = [field("price", "price", ""), field("cheap", "price", "min_count = 2"), field("one", "tag", ""), tags];
    let spec = read(&fields, "").unwrap();
    assert_eq!(spec.fields.iter().map(FieldSpec::column).collect::<Vec<_>>(), ["price", "price", "tag", "tag"]);
    assert_eq!(toml::from_str::<TableSpec>(&toml::to_string(&spec).unwrap()).unwrap(), spec);
    // A list of a Parquet file is read as one even if a field takes it as a single value first.
    let needed = spec.read_options().columns.needed;
    assert!(needed.iter().filter(|needed| needed.name == "tag").all(|needed| needed.list.is_some()));

    let frame = df!("price" => ["1", "2"], "tag" => ["a", "a|b"], "cheap" => ["of", "others"], "y" => ["0", "1"]);
    let table = spec.with_fields(CompactTable::try_from(&frame.unwrap()).unwrap()).unwrap();
    for (name, cells) in [("cheap", ["1", "2"]), ("price", ["1", "2"]), ("tags", ["a", "a|b"]), ("one", ["a", "a|b"])] {
        assert!(table.texts(name).unwrap().iter().flatten().eq(cells), "{name}");
    }
    assert_eq!(table.names().len(), 6);

    let refused = |fields: &[String], roles: &str| read(fields, roles).unwrap_err().to_string();
    for (fields, roles, reason) in [
        (vec![field("a", "", "")], "", "field `a` has an empty column"),
        (vec![field("a", "y", "")], "", "field `a` reads `y`, which is the label"),
        (vec![field("when", "a", "")], "timestamp = \"when\"\n", "has the name of the column of the timestamp"),
        (vec![field("a", "b", ""), field("c", "a", "")], "", "field `a` reads `b`, but has the name of the column of"),
        (
            ["|", ","]
                .map(|mark| field(mark, "l", &format!("separator = \"{mark}\"")).replace("categorical", "sequence"))
                .into(),
            "",
            "read lists in `l` with different separators",
        ),
    ] {
        let error = refused(&fields, roles);
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_complete_declaration_is_read() {
    let spec = loaded(
        r#"
        label = "rating"
        weight = "worth"
        timestamp = "when"
        user = "who"
        null_values = ["NA"]
        separator = ";"
        decimal = ","
        [[field]]
        name = "who"
        kind = "categorical"
        side = "user"
        min_count = 2
        [[field]]
        name = "tags"
        kind = "multi-valued"
        max_len = 20
        weighting = "mean"
        [[field]]
        name = "visited"
        kind = "sequence"
        [[field]]
        name = "device"
        kind = "categorical"
        hash_buckets = 1000
        exact = true
        [[field]]
        name = "price"
        kind = "numeric"
        side = "item"
        "#,
    );
    let newest = |list| ListSpec { keep: Keep::Last, ..list };
    let tags = FieldSpecKind::MultiValued(newest(ListSpec::new("|", Some(20), Weighting::Mean)));
    let visited = FieldSpecKind::Sequence(newest(ListSpec::new("|", None, Weighting::Sqrt)));
    let expected = TableSpec {
        label: "rating".into(),
        weight: Some("worth".into()),
        timestamp: Some("when".into()),
        user: Some("who".into()),
        item: None,
        title: None,
        null_values: vec!["NA".into()],
        separator: Some(';'),
        decimal: DecimalMark::Comma,
        fields: vec![
            FieldSpec { min_count: 2, ..FieldSpec::new("who", FieldSpecKind::Categorical, Side::User) },
            FieldSpec::new("tags", tags, Side::Context),
            FieldSpec::new("visited", visited, Side::Context),
            FieldSpec {
                hash_buckets: Some(1000),
                exact: true,
                ..FieldSpec::new("device", FieldSpecKind::Categorical, Side::Context)
            },
            FieldSpec::new("price", FieldSpecKind::Numeric, Side::Item),
        ],
    };
    assert_eq!(spec.unwrap(), expected);
}

#[test]
fn an_unknown_key_is_an_error_with_its_line_and_the_closest_key() {
    let error = refused(&format!("{HEAD}{}", field("a", "min_cuont = 3\n")));
    assert!(error.starts_with(", line 5: unknown field `min_cuont`"), "{error}");
    assert!(error.ends_with("did you mean `min_count`?"), "{error}");
}

#[test]
fn an_unknown_kind_is_an_error_with_the_closest_kind() {
    let error = refused(&format!("{HEAD}[[field]]\nname = \"a\"\nkind = \"categorial\"\n"));
    assert!(error.starts_with(", line 4: unknown variant `categorial`"), "{error}");
    assert!(error.ends_with("did you mean `categorical`?"), "{error}");
}

#[test]
fn contradictions_are_errors_with_their_line() {
    let twice = format!("{HEAD}{}{}", field("a", ""), field("a", ""));
    assert_eq!(refused(&twice), ", line 6: field `a` is declared twice");
    let label = refused(&format!("{HEAD}{}", field("y", "")));
    assert!(label.starts_with(", line 3: `y` is the label"), "{label}");
    let stray = refused(&format!("{HEAD}{}", field("a", "max_len = 3\n")));
    assert_eq!(stray, ", line 3: field `a` has a max_len, which only multi-valued fields and sequences have");
    let role = refused(&format!("user = \"usr\"\n{HEAD}{}", field("user", "")));
    assert_eq!(role, ": user = \"usr\" is not a field; did you mean `user`? available: user");
    let empty = refused(&format!("{HEAD}{}", field("a", "hash_buckets = 0\n")));
    assert_eq!(empty, ", line 3: field `a` needs hash_buckets of at least 1");
    let negative = refused(&format!("{HEAD}{}", field("a", "hash_buckets = -1\n")));
    assert!(negative.starts_with(", line 5: invalid value: integer `-1`"), "{negative}");
    let rare = refused(&format!("{HEAD}{}", field("a", "hash_buckets = 9\nmin_count = 2\n")));
    assert!(rare.starts_with(", line 3: field `a` has hash_buckets and a min_count"), "{rare}");
    let numeric = field("a", "hash_buckets = 9\n").replace("categorical", "numeric");
    let numeric = refused(&format!("{HEAD}{numeric}"));
    assert!(numeric.starts_with(", line 3: field `a` is numeric and cannot have hash_buckets"), "{numeric}");
    let numeric = field("a", "exact = true\n").replace("categorical", "numeric");
    let numeric = refused(&format!("{HEAD}{numeric}"));
    assert!(numeric.starts_with(", line 3: field `a` is numeric and cannot be exact"), "{numeric}");
    for role in ["weight", "timestamp"] {
        let twice = refused(&format!("{role} = \"y\"\n{HEAD}{}", field("a", "")));
        assert_eq!(twice, format!(": `y` is the label and cannot be the {role}, too"));
    }
    assert!(refused(HEAD).starts_with(": no field is declared"));
    let separator = refused(&format!("separator = \"\\n\"\n{HEAD}{}", field("a", "")));
    assert_eq!(separator, ": the separator '\\n' is not one ASCII character between cells, such as ;");
    let separator = refused(&format!("separator = \"::\"\n{HEAD}{}", field("a", "")));
    assert!(separator.starts_with(", line 1: "), "{separator}");
    let decimal = refused(&format!("decimal = \";\"\n{HEAD}{}", field("a", "")));
    assert!(decimal.starts_with(", line 1: unknown variant `;`, expected `.` or `,`"), "{decimal}");
    let shared = |shares: &str, more: &str| {
        let fields = [field("seen", &format!("shares = \"{shares}\"\n")), field("film", more)].concat();
        refused(&format!("{HEAD}{fields}"))
    };
    let line = ", line 3: field `seen` shares the table of";
    assert_eq!(
        shared("fim", ""),
        format!("{line} `fim`, which is not a field; did you mean `film`? available: seen, film")
    );
    assert_eq!(shared("seen", ""), format!("{line} `seen`, itself: name another field"));
    assert_eq!(
        shared("film", "shares = \"seen\"\n"),
        format!("{line} `film`, which shares that of `seen`: name `seen`")
    );
    let hashed = "hash_buckets = 9\nshares = \"film\"\n";
    let hashed = refused(&format!("{HEAD}{}{}", field("seen", hashed), field("film", "hash_buckets = 9\n")));
    assert_eq!(hashed, format!("{line} `film`, which decides on the hashing: leave hash_buckets out"));
    let numeric = field("seen", "shares = \"film\"\n").replace("categorical", "numeric");
    let numeric = refused(&format!("{HEAD}{numeric}{}", field("film", "")));
    assert_eq!(numeric, format!("{line} `film`, but numeric fields have no values to share"));
    let exact = refused(&format!("{HEAD}{}{}", field("seen", "exact = true\nshares = \"film\"\n"), field("film", "")));
    assert_eq!(exact, format!("{line} `film`, which decides how values compare: leave exact out"));
    assert!(refused("label = 3").starts_with(", line 1: "));
}

#[test]
fn a_field_reads_its_texts_as_the_owner_of_its_table_does() {
    let fields = [field("seen", "shares = \"film\"\n"), field("film", "exact = true\n"), field("hour", "")].concat();
    let spec = loaded(&format!("null_values = [\"-\"]\n{HEAD}{fields}")).unwrap();
    let value = |name, text| spec.reading(name).value(text).map(str::to_owned);
    assert_eq!(["seen", "film", "hour"].map(|name| value(name, "4.0").unwrap()), ["4.0", "4.0", "4"]);
    assert_eq!(["seen", "hour", "no field"].map(|name| value(name, " - ")), [None, None, None]);
}

#[test]
fn the_declared_columns_are_read() {
    let fields = [field("a", ""), field("b", "exact = true\n"), field("c", "shares = \"b\"\n")].concat();
    let fields = fields.replacen("categorical", "numeric", 1).replace("\"categorical\"\n", "\"sequence\"\n");
    let spec = loaded(&format!("weight = \"w\"\ntitle = \"a\"\nseparator = \"\\t\"\n{HEAD}{fields}")).unwrap();
    let options = spec.read_options();
    let list = Some(ListText { separator: SEPARATOR.into(), is_exact: true });
    let lists = ["b", "c"].map(|name| Needed { name: name.into(), list: list.clone() });
    let expected = [&[Needed::one("a")][..], &lists, &["y", "w", "a"].map(Needed::one)].concat();
    assert_eq!((options.columns.needed, options.separator), (expected, Some('\t')));
    assert_eq!(spec.columns_of_numbers().collect::<Vec<_>>(), ["a", "y", "w"]);
}

#[test]
fn selected_fields_keep_the_given_order_and_the_remaining_roles() {
    let text = format!("user = \"u\"\nitem = \"i\"\n{HEAD}{}{}{}", field("u", ""), field("i", ""), field("c", ""));
    let spec = loaded(&text).unwrap();
    let selected = spec.select(&["c".into(), "u".into()]).unwrap();
    assert_eq!(selected.names(), ["c", "u"]);
    assert_eq!((selected.user.as_deref(), selected.item.as_deref()), (Some("u"), None));
    let error = spec.select(&["cc".into()]).unwrap_err().to_string();
    assert_eq!(error, "there is no field `cc`; did you mean `c`? available: u, i, c");
    assert!(spec.select(&["c".into(), "c".into()]).is_err());
    assert!(spec.select(&[]).is_err());
}
