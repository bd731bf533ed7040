//! Bad input gives an error of one line and leaves no half-written file: `Scene::fails` asserts both.

use crate::scene::{LR_ON_ML, Scene, assert_holds};

fn trained() -> Scene {
    Scene::after(&["train --data books.csv --schema schema.toml --model deepfm --epochs 1 --run run"])
}

/// Replaces a line of a file, counted from 1, or the last line of a shorter file.
fn replace_line(scene: &Scene, file: &str, line: usize, text: &[u8]) {
    let bytes = scene.bytes(file);
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    let position = (line - 1).min(lines.len() - 1);
    lines[position] = text;
    scene.write(file, lines.concat());
}

#[test]
fn an_error_in_a_movielens_file_names_file_and_line() {
    let faults: [(&str, usize, &[u8], &[&str]); 8] = [
        ("u.data", usize::MAX, b"60\t12\t3", &["u.data, line 3000", "4 fields", "cut off"]),
        ("u.data", 17, b"1\t2\tgood\t880000000\n", &["u.data, line 17", "`good` is not a number"]),
        ("u.data", 5, b"1\t2\t\xff\xfe\t880000000\n", &["u.data, line 5", "is not a number"]),
        ("u.data", 2, b"anna\t2\t3\t880000000\n", &["u.data, line 2", "`anna`"]),
        ("u.data", 2, b"1\t2\t11\t880000000\n", &["u.data, line 2", "0.5 to 5"]),
        ("u.item", 3, b"3|Film 3\n", &["u.item, line 3", "24 fields"]),
        ("u.item", 3, b"2|Twice|||x|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n", &["u.item, line 3", "occurs twice"]),
        ("u.user", 9, b"9|33|F\n", &["u.user, line 9", "5 fields"]),
    ];
    let scene = Scene::new();
    for (file, line, text, words) in faults {
        let file = format!("ml/{file}");
        let whole = scene.bytes(&file);
        replace_line(&scene, &file, line, text);
        scene.refuses("ml", None, words);
        scene.write(&file, whole);
    }
    for (file, missing) in [
        ("u.user", "u.user is missing"),
        ("u.item", "u.item is missing"),
        ("u.data", "not contain a MovieLens release"),
    ] {
        let whole = scene.bytes(&format!("ml/{file}"));
        scene.write(&format!("ml/{file}"), "");
        scene.refuses("ml", None, &[file, "empty"]);
        std::fs::remove_file(scene.path("ml").join(file)).unwrap();
        scene.refuses("ml", None, &[missing]);
        scene.write(&format!("ml/{file}"), whole);
    }
    let (file, line, text, words) = faults[0];
    replace_line(&scene, &format!("ml/{file}"), line, text);
    scene.fails_with("train --data ml --run run", words);
}

#[test]
fn an_error_in_a_table_names_file_and_line() {
    let row = "r01,b02,x,kind1,5.5,1000,";
    let faults: [(usize, Vec<u8>, &[&str]); 8] = [
        (4, format!("{row}good\n").into(), &["books.csv, line 4", "`good`", "`stars`", "not a number"]),
        (4, format!("{row}\n").into(), &["books.csv, line 4", "empty cell", "`stars`"]),
        (4, format!("{row}inf\n").into(), &["books.csv, line 4", "`inf`"]),
        (4, b"r01,b02,x,kind1,5.5,noon,3\n".into(), &["books.csv, line 4", "`noon`", "a date or a time"]),
        (4, b"r01,b02,caf\xe9,kind1,5.5,1000,3\n".into(), &["books.csv, line 4", "not UTF-8"]),
        (usize::MAX, b"r01,b02,x".into(), &["books.csv, line 3001", "3 cells", "7"]),
        (usize::MAX, b"r01,\"b02,x".into(), &["books.csv, line 3001", "quote"]),
        (1, b"reader,book,name,tags,cost,when,stars\n".into(), &["no column `price`", "available: reader, book"]),
    ];
    let scene = Scene::new();
    let train = "train --data books.csv --schema schema.toml --run run";
    let whole = scene.bytes("books.csv");
    for (line, text, words) in faults {
        replace_line(&scene, "books.csv", line, &text);
        scene.refuses("books.csv", Some("schema.toml"), words);
        scene.write("books.csv", &whole);
    }
    scene.write("books.csv", "");
    scene.refuses("books.csv", Some("schema.toml"), &["books.csv", "empty"]);
    scene.write("books.csv", crate::data::HEADER);
    scene.fails_with(train, &["the table has no rows"]);
    scene.fails_with("train --data books.csv --run run", &["books.csv: has no rows to infer its fields from"]);
    scene.fails_with("train --data books.csv --schema none.toml --run run", &["cannot read", "none.toml"]);
    scene.write("schema.toml", "label = \"stars\"\n[[field]]\nname = \"book\"\nkind = \"categorial\"\n");
    scene.fails_with(train, &["schema.toml, line 4", "did you mean `categorical`?"]);
}

#[test]
fn a_binary_task_on_ratings_in_a_table_needs_a_threshold() {
    let scene = Scene::new();
    let train = "train --data books.csv --schema schema.toml --task binary --model lr --epochs 1 --run run";
    scene.fails_with(train, &["`stars` has values other than 0 and 1", "--threshold"]);
    scene.ok(&format!("{train} --threshold 4"));
}

#[test]
fn an_unknown_name_is_an_error_that_names_the_known_ones() {
    let scene = Scene::new();
    let cases: [(&str, &[&str]); 14] = [
        ("train --data ml --model depfm", &["depfm", "'deepfm'"]),
        ("train --data ml --model transformer", &["transformer", "lr, fm,", "deepfm"]),
        ("train --data ml --fields user_id,movie_id,gener", &["no field `gener`", "did you mean `gender`?", "year"]),
        ("train --data ml --fields user_id,user_id", &["`user_id`", "twice"]),
        ("train --data ml --task regresion", &["regresion", "regression, binary"]),
        ("train --data ml --split randm", &["randm", "leave-last-out"]),
        ("train --data ml --split kfold:5:5", &["kfold:5:5", "from 0 to K - 1"]),
        ("train --data ml --split fold:u7", &["u7", "u1, u2"]),
        ("train --data ml --optimizer adamm", &["adamm", "adagrad"]),
        ("train --data ml --model fm --dropout 0.1", &["model fm", "unknown option `dropout`", "embedding_dim"]),
        ("train --data ml --model fm --model-option k", &["NAME=VALUE"]),
        ("train --data ml --model-option embedding_dim=big", &["embedding_dim", "big"]),
        ("train --data ml-10k", &["no folder ml-10k", "did you mean `ml-100k`?"]),
        ("train --data ml --epoch 3", &["--epoch", "--epochs"]),
    ];
    for (line, words) in cases {
        scene.fails_with(line, words);
    }
    scene.fails_with("train", &["--data", "--train"]);
    scene.fails_with("trian --data ml", &["trian", "train"]);
    scene.fails_with("train --data ml-100k", &["fm data download ml-100k"]);
    scene.fails_with("train --data ml --train books.csv --schema schema.toml", &["both given"]);
    scene.fails_with("train --test books.csv --schema schema.toml", &["no training table"]);
    scene.fails_with("data download netflix", &["netflix", "ml-latest-small"]);
}

#[test]
fn a_number_out_of_range_is_an_error_before_training() {
    let scene = Scene::new();
    let cases = [
        ("--epochs 0", "at least 1"),
        ("--batch-size 0", "at least 1"),
        ("--lr nan", "learning rate is NaN"),
        ("--lr -0.1", "learning rate is -0.1"),
        ("--lr inf", "learning rate is inf"),
        ("--l2 -1", "l2 is -1"),
        ("--dropout 1.5", "dropout is 1.5"),
        ("--dropout -0.5", "dropout is -0.5"),
        ("--embedding-dim 0", "embedding_dim is 0"),
        ("--embedding-dim -4", "embedding_dim is -4"),
        ("--hidden-units 64,0", "hidden_units"),
        ("--embedding-dim 1000000000000", "embedding_dim is 1000000000000"),
        ("--epochs many", "whole number"),
        ("--seed -1", "for '--seed"),
        ("--split random:0.9:0.2", "sum is less than 1"),
    ];
    for (option, word) in cases {
        scene.fails_with(&format!("train --data ml {option} --run run"), &[word]);
    }
    scene.fails_with("train --data ml --task binary --threshold nan --run run", &["threshold"]);
    scene.fails_with("recommend none --user 1 --top 0", &["--top", "at least 1"]);
}

#[test]
fn a_loss_that_explodes_in_the_first_epoch_leaves_no_run() {
    let scene = Scene::new();
    let train = "train --data ml --model fm --epochs 1 --lr 1e30 --quiet --run run";
    scene.fails_with(train, &["the loss became", "of epoch 1", "lower the learning rate"]);
}

#[test]
fn force_replaces_only_a_run_and_only_if_the_new_one_can_start() {
    let scene = Scene::after(&[LR_ON_ML]);
    let train = "train --data ml --model lr --epochs 1 --quiet";
    scene.fails_with(&format!("{train} --run run"), &["run already exists", "--resume", "--force"]);
    // A setting of training, of the data, and of the model.
    for fault in ["--lr nan", "--fields movie", "--embedding-dim 0 --model fm"] {
        scene.fails(&format!("train --data ml --run run --force {fault}"));
    }
    scene.fails_with(&format!("{train} --run ml --force"), &["ml is not a run", "--force"]);
    scene.fails_with(&format!("{train} --run books.csv --force"), &["books.csv is not a run"]);
    scene.fails_with(&format!("{train} --run books.csv"), &["books.csv already exists"]);
    scene.ok(&format!("{train} --run run --force"));
    std::fs::create_dir(scene.path("empty")).unwrap();
    scene.ok(&format!("{train} --run empty"));
    for number in 1..3 {
        scene.ok(train);
        assert!(scene.path(&format!("runs/lr-{number}/summary.json")).is_file());
    }
}

#[test]
fn a_path_that_is_not_a_run_is_an_error() {
    let scene = Scene::new();
    for (command, what) in
        [("train --resume", "ml"), ("evaluate", "ml"), ("export -o model.pt", "none"), ("evaluate", "books.csv")]
    {
        scene.fails_with(&format!("{command} {what}"), &[&format!("{what} is not a usable run")]);
    }
    scene.fails_with("predict ml --input books.csv --output scored.csv", &["ml is not a usable run"]);
    scene.fails_with("predict none --input books.csv --output scored.csv", &["cannot read none"]);
}

#[test]
fn a_damaged_checkpoint_is_an_error() {
    let scene = trained();
    let whole = scene.bytes("run/checkpoints/best.safetensors");
    let last = scene.bytes("run/checkpoints/last.safetensors");
    let mut mad_header = whole.clone();
    mad_header[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let commands = [
        "evaluate run",
        "export run -o new.pt",
        "predict run --input books.csv --output new.csv",
        "recommend run --user r01",
    ];
    let damaged = [&whole[..whole.len() - 1], &whole[..100], &[], b"no checkpoint", &mad_header];
    for (damaged, command) in damaged.into_iter().zip(commands.into_iter().cycle()) {
        scene.write("run/checkpoints/best.safetensors", damaged);
        scene.fails_with(command, &["best.safetensors is not a usable checkpoint"]);
    }
    // The only epoch was the best, so the last checkpoint has the same parameters.
    scene.ok("train --resume run --quiet");
    assert!(scene.bytes("run/checkpoints/best.safetensors") == whole);
    std::fs::remove_file(scene.path("run/checkpoints/step-0.safetensors")).unwrap();
    scene.write("run/checkpoints/last.safetensors", &last[..last.len() / 2]);
    let words = &["none of its checkpoints is usable: start again with `--force`"];
    scene.fails_with("train --resume run --quiet", words);
}

#[test]
fn a_schema_or_settings_that_do_not_fit_the_checkpoint_are_an_error() {
    let scene = trained();
    let schema = scene.text("run/schema.json");
    scene.write("run/schema.json", schema.replacen("\"b01\",", "", 1));
    let words = &["run is not a usable run", "schema.json has changed since the run was created"];
    scene.fails_with("evaluate run", words);
    scene.fails_with("train --resume run --quiet", &["schema.json has changed since the run was created"]);
    scene.write("run/schema.json", schema.replacen("\"b01\"", "\"b02\"", 1));
    scene.fails_with("evaluate run", &["schema.json is not a usable schema", "`b02` twice"]);
    scene.write("run/schema.json", &schema[..schema.len() / 2]);
    scene.fails_with("evaluate run", &["schema.json is not a usable schema", "EOF"]);
    scene.write("run/schema.json", schema);

    let settings = scene.text("run/settings.toml");
    for (from, to, word) in [
        ("embedding_dim = 16", "embedding_dim = 8", "shape"),
        ("name = \"deepfm\"", "name = \"fm\"", "model fm: unknown option"),
        ("name = \"deepfm\"", "name = \"deepfn\"", "did you mean `deepfm`?"),
        ("[train]", "[tarin]", "settings.toml"),
        ("epochs = 1", "epochs = \"one\"", "settings.toml"),
    ] {
        let edited = settings.replacen(from, to, 1);
        assert_ne!(edited, settings);
        scene.write("run/settings.toml", edited);
        scene.fails_with("evaluate run", &[word]);
    }
}

#[test]
fn rows_to_score_need_a_column_for_each_field() {
    let scene = trained();
    scene.without_column("books.csv", "price", "rows.csv");
    let predict = "predict run --input rows.csv --output scored.csv";
    scene.fails_with(predict, &["no column `price`", "available: reader, book"]);
    scene.ok(&format!("{predict} --allow-missing"));
    assert_eq!(scene.scores("scored.csv").len(), crate::data::RATINGS);

    scene.fails_with("predict run --input none.csv --output scored.csv", &["cannot read none.csv"]);
    scene.fails_with("predict run --input run --output scored.csv", &["no column `reader`", "available: epoch, "]);
    std::fs::create_dir(scene.path("empty")).unwrap();
    scene.fails_with(
        "predict run --input empty --output scored.csv",
        &["empty: the folder has no .csv, .tsv, .jsonl, .ndjson, .parquet, "],
    );
    scene.write("torn.csv", "reader,book,tags,price\nr01,b02,kind1,5\nr01,b0");
    scene.fails_with("predict run --input torn.csv --output new.csv", &["torn.csv, line 3", "2 cells"]);
    scene.write("torn.parquet", "PAR1");
    scene.fails_with("predict run --input torn.parquet --output new.csv", &["torn.parquet", "Parquet"]);
    // The label is optional, and a table may have no rows.
    scene.write("none.csv", "reader,book,tags,price\n");
    scene.ok("predict run --input none.csv --output new.csv");
    assert_eq!(scene.text("new.csv"), "reader,book,tags,price,score\n");
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let scene = trained();
    std::fs::create_dir(scene.path("folder")).unwrap();
    std::fs::create_dir(scene.path("folder.csv")).unwrap();
    let predict = "predict run --input books.csv --output";
    scene.fails_with(&format!("{predict} folder.csv"), &["folder.csv", "is a folder"]);
    scene.fails_with("evaluate run --output folder.csv", &["folder.csv", "is a folder"]);
    scene.fails_with("export run -o folder", &["folder is a folder", "name the file"]);
    scene.fails_with(&format!("{predict} scores.xlsx"), &["scores.xlsx", ".csv, .tsv, .txt, .jsonl, "]);
    scene.fails_with(&format!("{predict} no/such/folder.csv"), &["cannot write no/such/folder.csv"]);
    scene.fails_with("export run -o no/such/folder.pt", &["cannot write no/such/folder.pt"]);
    scene.fails_with("train --data ml --epochs 1 --quiet --run books.csv/run", &["cannot create books.csv/run"]);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_replaced_by_a_file() {
    let scene = trained();
    for name in ["pipe.pt", "pipe.csv"] {
        assert!(scene.command("mkfifo").arg(name).status().unwrap().success());
    }
    scene.fails_with("export run -o pipe.pt", &["cannot write pipe.pt", "not a file"]);
    scene.fails_with("predict run --input books.csv --output pipe.csv", &["cannot write pipe.csv", "not a file"]);
}

/// Runs `fm` with a limit of `kib` KiB per file: writes beyond it fail, as on a full disk.
#[cfg(unix)]
pub fn fails_when_full(scene: &Scene, kib: usize, line: &str) -> String {
    let mut command = scene.command("sh");
    // A block of `ulimit -f` has 512 bytes. Without the trap, a signal would end the program.
    let limit = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", 2 * kib);
    command.args(["-c", &limit, env!("CARGO_BIN_EXE_fm")]).args(line.split_whitespace());
    scene.command_fails(&mut command)
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_no_half_written_file() {
    let scene = trained();
    scene.ok("export run -o model.pt");
    for (kib, line, words) in [
        (8, "predict run --input books.csv --output scored.csv", ["cannot write scored.csv", "File too large"]),
        (8, "predict run --input books.csv --output scored.tsv", ["cannot write scored.tsv", "File too large"]),
        (8, "predict run --input books.csv --output scored.parquet", ["cannot write scored.parquet", "File too large"]),
        (8, "evaluate run --output scored.csv", ["cannot write scored.csv", "File too large"]),
        (8, "export run -o new.pt", ["cannot write new.pt", "File too large"]),
        (0, "export run -o new.pt", ["cannot write new.pt", "File too large"]),
        (8, "train --data ml --run new --quiet", ["cannot write", "File too large"]),
    ] {
        assert_holds(&fails_when_full(&scene, kib, line), &words);
    }
    // The encoded data are in the cache, so the checkpoint is the first file that does not fit.
    scene.ok("train --data ml --model fm --embedding-dim 64 --epochs 1 --run new --quiet");
    std::fs::remove_dir_all(scene.path("new")).unwrap();
    let train = "train --data ml --model fm --embedding-dim 64 --epochs 1 --run new --quiet";
    assert_holds(&fails_when_full(&scene, 64, train), &["last.safetensors", "File too large"]);
    // `fails_when_full` asserts that the older file is unchanged.
    assert_holds(&fails_when_full(&scene, 8, "export run -o model.pt"), &["cannot write model.pt"]);
}

#[test]
fn recommend_and_explain_need_declared_users_and_items() {
    let scene = Scene::new();
    scene.write("schema.toml", crate::data::SCHEMA.replace("user = \"reader\"", ""));
    scene.ok("train --data books.csv --schema schema.toml --model lr --epochs 1 --run run");
    for command in ["recommend run --user r01", "explain run --user r01 --item b01"] {
        scene.fails_with(command, &["declare `user` and `item`"]);
    }
    scene.ok("explain run --row reader=r01");
}
