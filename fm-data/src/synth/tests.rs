use polars::prelude::*;
use proptest::prelude::*;

use super::*;

fn planted(change: impl FnOnce(&mut PlantedConfig)) -> Planted {
    let mut config = PlantedConfig { fields: 3, cardinalities: vec![30], embedding_dim: 4, ..PlantedConfig::default() };
    change(&mut config);
    Planted::new(&config).unwrap()
}

fn mean(numbers: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = numbers.len() as f64;
    numbers.sum::<f64>() / count
}

fn deviation(numbers: &[f64]) -> f64 {
    let center = mean(numbers.iter().copied());
    mean(numbers.iter().map(|x| (x - center).powi(2))).sqrt()
}

/// The AUC over all pairs of rows.
fn auc(rows: &PlantedRows) -> f64 {
    let logits = |label| rows.logits.iter().zip(&rows.labels).filter(move |row| *row.1 == label).map(|row| *row.0);
    let (mut wins, mut pairs) = (0.0, 0.0);
    for a in logits(true) {
        for b in logits(false) {
            wins += if a > b { 1.0 } else { 0.5 * f64::from(u8::from(a == b)) };
            pairs += 1.0;
        }
    }
    wins / pairs
}

fn measured(planted: &Planted, rows: u64) -> (PlantedRows, OptimumMetrics) {
    let (rows, mut optimum) = (planted.rows(0..rows), planted.optimum());
    optimum.add(&rows);
    (rows, optimum.metrics())
}

#[test]
fn the_settings_and_the_number_of_a_row_determine_it() {
    let rows = |seed| planted(|config| config.seed = seed).rows(0..500);
    assert_eq!(rows(1), rows(1));
    let (a, b) = (rows(1), rows(2));
    assert_ne!(a.values, b.values);
    assert_ne!(a.labels, b.labels);
    assert_ne!(a.logits, b.logits);
}

#[test]
fn neither_chunks_nor_threads_change_the_rows() {
    // More rows than a block, and enough values for threads.
    let planted = planted(|config| config.fields = 20);
    let all = planted.rows(0..3_000);
    for size in [1, 700, 1_024, 2_999] {
        let mut rows = PlantedRows { fields: 20, ..PlantedRows::default() };
        for start in (0..3_000).step_by(size) {
            let chunk = planted.rows(start..3_000.min(start + size as u64));
            rows.values.extend(&chunk.values);
            rows.logits.extend(&chunk.logits);
            rows.labels.extend(&chunk.labels);
        }
        assert!(rows == all, "chunks of {size} rows");
    }
}

#[test]
fn chunks_have_all_rows_in_order_and_are_bounded() {
    let wide = planted(|config| (config.fields, config.embedding_dim) = (10_000, 1));
    let chunks: Vec<PlantedRows> = wide.chunks(250).collect();
    assert_eq!(chunks.iter().map(PlantedRows::len).collect::<Vec<_>>(), [104, 104, 42]);
    let labels: Vec<bool> = chunks.iter().flat_map(|rows| rows.labels.clone()).collect();
    assert_eq!(labels, wide.rows(0..250).labels);
    assert_eq!(planted(|_| {}).chunks(70_000).map(|rows| rows.len()).collect::<Vec<_>>(), [32_768, 32_768, 4_464]);
    assert_eq!(planted(|_| {}).chunks(0).count(), 0);
}

/// The names and the cells of a table's columns.
fn cells(table: &DataFrame) -> Vec<(String, Vec<String>)> {
    let text = |column: &Column| column.cast(&DataType::String).unwrap().str().unwrap().clone();
    let owned = |column: &Column| text(column).iter().map(|cell| cell.unwrap().to_owned()).collect();
    table.columns().iter().map(|column| (column.name().to_string(), owned(column))).collect()
}

#[test]
fn a_table_has_the_label_and_the_values_of_its_layout() {
    let planted = planted(|config| config.cardinalities = vec![2, 50, 1_000_000]);
    let rows = &planted.rows(0..40);
    let column = |name: &str, cell: &dyn Fn(usize) -> String| (name.to_owned(), (0..40).map(cell).collect::<Vec<_>>());
    let label = || column("label", &|row| if rows.labels()[row] { "1".into() } else { "0".into() });
    let value = |field: usize| move |row: usize| rows.values(row)[field];
    let [a, b, c] = [0, 1, 2].map(value);
    let of = |layout| cells(&planted.table(rows, layout).unwrap());
    let text = |value: u32| format!("v{value}");
    assert_eq!(
        of(Layout::Columns),
        [
            label(),
            column("c1", &|row| text(a(row))),
            column("c2", &|row| text(b(row))),
            column("c3", &|row| text(c(row)))
        ]
    );
    // The numbers of a field follow those of the field before.
    let numbers = |row| [a(row), 2 + b(row), 52 + c(row)].map(|number| number.to_string());
    let field = |field: usize| column(&format!("field_{field}"), &|row| numbers(row)[field].clone());
    assert_eq!(of(Layout::Fields), [label(), field(0), field(1), field(2)]);
    assert_eq!(of(Layout::Features), [label(), column("features", &|row| numbers(row).join(" "))]);
    assert!((0..40).any(|row| c(row) > 1_000) && (0..40).all(|row| a(row) <= 2));
}

#[test]
fn the_name_of_a_file_decides_the_layout() {
    for (name, layout) in [
        ("a.csv", Layout::Columns),
        ("a.parquet", Layout::Columns),
        ("a.libsvm", Layout::Features),
        ("a.svm.gz", Layout::Features),
        ("a.libffm", Layout::Fields),
        ("a.ffm.zst", Layout::Fields),
    ] {
        assert_eq!(Layout::of_file(name), layout, "{name}");
    }
}

#[test]
fn a_sparse_file_has_a_greatest_index() {
    let planted = |least| planted(|config| config.cardinalities = vec![1_000_000_000, 1_000_000_000, least]);
    let table = |planted: &Planted, layout| planted.table(&planted.rows(0..3), layout);
    let most = planted(147_483_647);
    assert!([Layout::Fields, Layout::Features].iter().all(|&layout| table(&most, layout).is_ok()));
    let more = planted(147_483_648);
    assert!(table(&more, Layout::Columns).is_ok());
    let expected = "the number of values of all fields is 2147483648: it must be at most 2147483647 in a sparse file";
    for layout in [Layout::Fields, Layout::Features] {
        assert_eq!(table(&more, layout).unwrap_err().to_string(), expected);
    }
}

#[test]
fn values_follow_zipfs_law_in_each_field() {
    const ROWS: usize = 20_000;
    let rows = planted(|config| (config.cardinalities, config.zipf) = (vec![10, 3, 40], 1.3)).rows(0..ROWS as u64);
    for (field, n) in [10, 3, 40].into_iter().enumerate() {
        let total: f64 = (1..=n).map(|k| f64::from(k).powf(-1.3)).sum();
        for k in 1..=n {
            let share = (0..ROWS).filter(|&row| rows.values(row)[field] == k).count() as f64 / ROWS as f64;
            let expected = f64::from(k).powf(-1.3) / total;
            let deviation = (expected * (1.0 - expected) / ROWS as f64).sqrt();
            assert!((share - expected).abs() < 5.0 * deviation, "field {field}, value {k}: {share} for {expected}");
        }
    }
}

#[test]
fn the_mean_probability_is_the_click_rate() {
    for rate in [0.01, 0.25, 0.9] {
        let (rows, metrics) = measured(&planted(|config| config.click_rate = rate), 30_000);
        let expected = mean(rows.logits.iter().map(|&logit| 1.0 / (1.0 + (-logit).exp())));
        let error = (rate * (1.0 - rate) / 30_000.0).sqrt();
        assert!((expected - rate).abs() < 3.0 * error, "{rate}: probabilities have the mean {expected}");
        assert!((metrics.click_rate - rate).abs() < 5.0 * error, "{rate}: {}", metrics.click_rate);
    }
}

#[test]
fn each_part_of_the_logits_has_its_scale() {
    for (linear, interactions) in [(2.0, 0.0), (0.0, 0.5), (0.0, 0.0)] {
        let planted = planted(|config| (config.linear, config.interactions) = (linear, interactions));
        let logits = planted.rows(0..20_000).logits;
        let expected: f64 = linear + interactions;
        let error = 0.03 * expected + 1e-12;
        assert!((deviation(&logits) - expected).abs() <= error, "{}", deviation(&logits));
        assert!((mean(logits.iter().copied()) - planted.center).abs() <= error);
    }
}

#[test]
fn the_logits_are_the_scaled_terms_of_the_machine() {
    let planted = planted(|config| config.interactions = 0.7);
    let rows = planted.rows(0..300);
    let terms = |row| planted.machine.terms(rows.values(row), &mut vec![]);
    let sample = planted.sample();
    let of = |part: fn(&Terms) -> f64| {
        let parts: Vec<f64> = sample.iter().map(part).collect();
        (mean(parts.iter().copied()), deviation(&parts))
    };
    let (linear, interactions) = (of(|terms| terms.linear), of(|terms| terms.interactions));
    for row in 0..300 {
        let expected = planted.center
            + (terms(row).linear - linear.0) / linear.1
            + 0.7 * (terms(row).interactions - interactions.0) / interactions.1;
        assert!((rows.logits[row] - expected).abs() < 1e-9, "row {row}: {} for {expected}", rows.logits[row]);
    }
}

#[test]
fn the_metrics_are_those_of_all_rows() {
    // Many distinct logits, and nine.
    for (change, most_error) in [(vec![200], 5e-5), (vec![3, 3, 1], 0.0)] {
        let planted = planted(|config| config.cardinalities = change);
        let (rows, metrics) = measured(&planted, 3_000);
        let clicks = rows.labels.iter().filter(|&&label| label).count() as f64;
        let loss = |(logit, label): (&f64, &bool)| {
            let p = 1.0 / (1.0 + (-logit).exp());
            -if *label { p.ln() } else { (1.0 - p).ln() }
        };
        let logloss = mean(rows.logits.iter().zip(&rows.labels).map(loss));
        let rate = clicks / 3_000.0;
        let base = -(rate * rate.ln() + (1.0 - rate) * (1.0 - rate).ln());
        assert_eq!((metrics.rows, metrics.click_rate), (3_000, rate));
        assert!((metrics.bayes_logloss - logloss).abs() < 1e-12, "{} for {logloss}", metrics.bayes_logloss);
        assert!((metrics.base_logloss - base).abs() < 1e-12, "{} for {base}", metrics.base_logloss);
        let (found, exact, error) = (metrics.bayes_auc.unwrap(), auc(&rows), metrics.bayes_auc_error.unwrap());
        assert!(error <= most_error, "the error may be {error}");
        assert!((found - exact).abs() <= error + 1e-12, "{found} for {exact} with an error of {error}");
        assert!(exact > 0.6 && metrics.bayes_logloss < metrics.base_logloss);
    }
}

#[test]
fn chunks_do_not_change_the_metrics() {
    let planted = planted(|_| {});
    let mut optimum = planted.optimum();
    for start in (0..2_000).step_by(300) {
        optimum.add(&planted.rows(start..2_000.min(start + 300)));
    }
    assert_eq!(optimum.metrics(), measured(&planted, 2_000).1);
}

#[test]
fn one_label_or_no_row_has_no_auc() {
    let planted = planted(|config| config.click_rate = 1e-9);
    let (_, metrics) = measured(&planted, 50);
    assert_eq!((metrics.bayes_auc, metrics.bayes_auc_error, metrics.base_logloss), (None, None, 0.0));
    let (_, metrics) = measured(&planted, 0);
    assert!(metrics.bayes_auc.is_none() && metrics.bayes_logloss.is_nan() && metrics.click_rate.is_nan());
}

#[test]
fn a_single_field_has_no_interactions_and_constant_rows_have_nothing_to_learn() {
    let single = planted(|config| config.fields = 1);
    assert!((deviation(&single.rows(0..20_000).logits) - 1.0).abs() < 0.03);
    let (rows, metrics) = measured(&planted(|config| config.cardinalities = vec![1]), 2_000);
    assert!(rows.logits.iter().all(|&logit| logit == rows.logits[0]));
    assert_eq!((metrics.bayes_auc, metrics.bayes_auc_error), (Some(0.5), Some(0.0)));
    assert!((metrics.bayes_logloss - metrics.base_logloss).abs() < 0.01);
}

#[test]
fn settings_out_of_range_are_errors_of_one_line() {
    let error = |change: &dyn Fn(&mut PlantedConfig)| {
        let mut config = PlantedConfig::default();
        change(&mut config);
        Planted::new(&config).unwrap_err().to_string()
    };
    assert_eq!(error(&|config| config.fields = 0), "the number of fields is 0: it must be from 1 to 10000");
    let expected = "the number of cardinalities is 2: it must be 1, or one for each of the 10 fields";
    assert_eq!(error(&|config| config.cardinalities = vec![5, 5]), expected);
    assert_eq!(error(&|config| config.click_rate = 1.0), "the click rate is 1: it must be above 0 and below 1");
    let changes: [&dyn Fn(&mut PlantedConfig); 12] = [
        &|config| config.fields = 10_001,
        &|config| config.cardinalities = vec![],
        &|config| config.cardinalities = vec![0],
        &|config| config.cardinalities = vec![1_000_000_001],
        &|config| config.zipf = -0.1,
        &|config| config.zipf = f64::NAN,
        &|config| config.click_rate = 0.0,
        &|config| config.click_rate = f64::NAN,
        &|config| config.embedding_dim = 0,
        &|config| config.embedding_dim = 1_001,
        &|config| config.linear = f64::INFINITY,
        &|config| config.interactions = -1.0,
    ];
    for change in changes {
        let error = error(change);
        assert!(error.contains(": it must be ") && !error.contains('\n'), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn any_valid_settings_give_finite_logits_and_values_within_their_range(
        cardinalities in prop::collection::vec(1usize..=1_000_000_000, 1..4),
        (zipf, linear, interactions) in (0.0..=100.0, 0.0..=1e3, 0.0..=1e3),
        click_rate in 1e-12..0.999_999,
        seed in any::<u64>(),
    ) {
        let fields = cardinalities.len();
        let config = PlantedConfig {
            fields,
            cardinalities: cardinalities.clone(),
            zipf,
            click_rate,
            embedding_dim: 2,
            linear,
            interactions,
            seed,
        };
        let (rows, metrics) = measured(&Planted::new(&config).unwrap(), 200);
        for row in 0..200 {
            let is_within = |(&value, &n): (&u32, &usize)| (1..=n).contains(&(value as usize));
            prop_assert!(rows.values(row).iter().zip(&cardinalities).all(is_within));
        }
        prop_assert!(rows.logits.iter().all(|logit| logit.is_finite()));
        prop_assert!(metrics.bayes_logloss.is_finite());
    }
}
