//! The formulas of the models of a user's history.

use fm_core::FieldKind;

use super::*;

impl Scene {
    /// The position of the sequence and that of the field whose table it shares.
    fn history(&self) -> [usize; 2] {
        let is_sequence = |&field: &usize| matches!(self.schema.fields()[field].kind, FieldKind::Sequence(_));
        let sequence = (0..self.schema.num_fields()).find(is_sequence).unwrap();
        [sequence, self.schema.owner(sequence)]
    }

    /// The vectors of a field's slots of each row without their scale, with zeros for padding.
    fn unscaled(&self, table: &str, field: usize) -> Vec<Matrix> {
        let table = self.p.matrix(&format!("{table}.weight"));
        let there =
            |row: &Row| row[self.schema.slots(field)].iter().map(|&(id, x)| (id, f64::from(x != 0.0))).collect();
        self.rows.iter().map(|row| slot_vectors(&table, &there(row))).collect()
    }

    /// The values of a field's slots of each row.
    fn values(&self, field: usize) -> Matrix {
        let of_row = |row: &Row| row[self.schema.slots(field)].iter().map(|&(_, x)| x).collect();
        self.rows.iter().map(of_row).collect()
    }
}

/// ŷ = w₀ + ⟨h, DNN([e_1; ...; e_F])⟩, with Σ_j a_j x_j v_j in the place of the vector of the history.
pub fn din(scene: &Scene) -> Vector {
    let [sequence, item] = scene.history();
    let (keys, x) = (scene.unscaled("embedding", sequence), scene.values(sequence));
    let mut fields = scene.fields("embedding");
    let queries: Matrix = fields.iter().map(|fields| fields[item].clone()).collect();
    let is_there = x.iter().map(|x| x.iter().map(|&x| f64::from(x != 0.0)).collect()).collect();
    let act = scene.text("attention_activation");
    let weights = activation_unit(&scene.p, "attention.history_0", act, &queries, &keys, &is_there, scene.train);
    for (row, fields) in fields.iter_mut().enumerate() {
        let part = |j: usize| keys[row][j].iter().map(|v| weights[row][j] * x[row][j] * v).collect();
        let parts: Matrix = (0..keys[row].len()).map(part).collect();
        fields[sequence] = sum(&parts, queries[row].len());
    }
    add([scene.bias(), scene.output("output", &scene.dnn(flat(&fields)))])
}

/// ŷ = w₀ + ⟨h, DNN([e_1; ...; e_G; y_0; y_1; ...])⟩ with y of blocks over [v_j; p_j], of the row's own item and its
/// history.
pub fn bst(scene: &Scene) -> Vector {
    let [sequence, item] = scene.history();
    let (own, seen) = (scene.unscaled("embedding", item), scene.unscaled("embedding", sequence));
    let positions = scene.p.matrix("positions");
    let places = |(own, seen): (&Matrix, &Matrix)| -> Matrix {
        own.iter().chain(seen).zip(&positions).map(|(v, place)| [v.clone(), place.clone()].concat()).collect()
    };
    let mut y: Vec<Matrix> = own.iter().zip(&seen).map(places).collect();
    let values = scene.values(item).into_iter().zip(scene.values(sequence));
    let there: Matrix =
        values.map(|(own, seen)| [own, seen].concat().iter().map(|&x| f64::from(x != 0.0)).collect()).collect();
    let sees: Vec<Matrix> =
        there.iter().map(|there| there.iter().map(|j| there.iter().map(|i| j * i).collect()).collect()).collect();
    for l in 0..scene.size("transformer_blocks") {
        let heads = scene.size("transformer_heads");
        let drop = &mut |x: Matrix| scene.dropped(x, "dropout");
        y = transformer_block(&scene.p, &format!("block_{l}"), (heads, false), &y, &sees, drop);
    }
    let input = |(row, fields): (usize, &Matrix)| -> Vector {
        let others = (0..fields.len()).filter(|field| ![item, sequence].contains(field));
        let kept = y[row].iter().zip(&there[row]).flat_map(|(y, there)| y.iter().map(move |y| there * y));
        others.flat_map(|field| fields[field].clone()).chain(kept).collect()
    };
    let inputs = scene.fields("embedding").iter().enumerate().map(input).collect();
    add([scene.bias(), scene.output("output", &scene.dnn(inputs))])
}

/// ŷ = w₀ + ⟨u, v_i⟩ with u = LN(y_0), the newest item after causal blocks over v_j + p_j, or a vector of its own.
pub fn sasrec(scene: &Scene) -> Vector {
    let [sequence, item] = scene.history();
    // The table has only the rows of the item.
    let first = scene.schema.ids(item).start as usize;
    let table = scene.p.matrix("embedding.weight");
    let positions = scene.p.matrix("positions");
    let is_there = |row: &Row, j: usize| row[scene.schema.slots(sequence).start + j].1 != 0.0;
    let length = positions.len();
    let input = |row: &Row| -> Vector {
        let place = |j: usize| {
            let (id, x) = row[scene.schema.slots(sequence).start + j];
            let vector = |d: usize| f64::from(x != 0.0) * table[id - first][d] + positions[j][d];
            (0..positions[0].len()).map(vector).collect::<Vector>()
        };
        (0..length).flat_map(place).collect()
    };
    let k = positions[0].len();
    let inputs = scene.dropped(scene.rows.iter().map(input).collect(), "dropout");
    let mut y: Vec<Matrix> = inputs.iter().map(|row| row.chunks(k).map(<[f64]>::to_vec).collect()).collect();
    let sees = |row: &Row| -> Matrix {
        let one = |j: usize, i: usize| f64::from(i >= j && is_there(row, j) && is_there(row, i));
        (0..length).map(|j| (0..length).map(|i| one(j, i)).collect()).collect()
    };
    let sees: Vec<Matrix> = scene.rows.iter().map(sees).collect();
    for l in 0..scene.size("transformer_blocks") {
        let heads = scene.size("transformer_heads");
        let drop = &mut |x: Matrix| scene.dropped(x, "dropout");
        y = transformer_block(&scene.p, &format!("block_{l}"), (heads, true), &y, &sees, drop);
    }
    let score = |(row, y): (&Row, &Matrix)| {
        let newest = layer_norm(&scene.p, "norm", &vec![y[0].clone()]).concat();
        let user = if is_there(row, 0) { newest } else { scene.p.vector("empty") };
        let (id, x) = row[scene.schema.slots(item).start];
        x * dot(&user, &table[id - first])
    };
    add([scene.bias(), scene.rows.iter().zip(&y).map(score).collect()])
}
