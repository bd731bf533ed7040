//! How a schema reads the texts of its fields, and what it knows of unknown values.

use super::{Field, Reading, Schema, canonical};
use crate::error::{Error, Result};

impl Schema {
    /// Names texts that are missing values in every field, such as `NULL`.
    ///
    /// # Errors
    /// [`Error::Schema`] if a vocabulary lists one of them.
    pub fn with_null_values(mut self, texts: &[String]) -> Result<Schema> {
        self.null_values.clear();
        for text in texts.iter().map(|text| canonical(text)).filter(|text| !text.is_empty()) {
            if !self.null_values.iter().any(|null| null == text) {
                self.null_values.push(text.to_owned());
            }
        }
        let nulls = Reading::new(false, &self.null_values);
        for Field { name, vocabulary, .. } in self.fields.iter().filter(|field| !field.derived.is_derived()) {
            if let Some(value) = vocabulary.iter().find(|value| nulls.is_null(value)) {
                return Err(Error::Schema(format!("field `{name}` lists the value `{value}`, which is a null value")));
            }
        }
        Ok(self)
    }

    /// Sets the share of the training rows without a known value, for each field.
    ///
    /// # Errors
    /// [`Error::Schema`] if the number of shares is not that of the fields, or one is not from 0 to 1.
    pub fn with_unknown_shares(mut self, shares: &[f32]) -> Result<Schema> {
        if shares.len() != self.fields.len() || !shares.iter().all(|share| (0.0..=1.0).contains(share)) {
            return Err(Error::Schema(format!(
                "the shares of unknown values {shares:?} are not one from 0 to 1 a field"
            )));
        }
        for (field, &share) in self.fields.iter_mut().zip(shares) {
            field.unknown_share = share;
        }
        Ok(self)
    }

    /// Texts that are missing values in every field, in their canonical form.
    pub fn null_values(&self) -> &[String] {
        &self.null_values
    }

    /// How the texts of a field become values: as those of the owner of its table. Null values are those of columns, and not of
    /// texts that follow from them.
    ///
    /// # Panics
    /// If `field` is not below [`Schema::num_fields`].
    pub fn reading(&self, field: usize) -> Reading<'_> {
        let null_values = if self.fields[field].derived.is_derived() { &[][..] } else { &self.null_values };
        Reading::new(self.fields[self.owners[field]].is_exact(), null_values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{FieldKind, Label, Side, Task};

    fn schema(vocabulary: &[&str]) -> Schema {
        let vocabulary = vocabulary.iter().map(|&value| value.into()).collect();
        let field = Field::new("a", FieldKind::Categorical, Side::Context, vocabulary);
        Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), vec![field]).unwrap()
    }

    #[test]
    fn a_schema_of_the_first_format_compares_bytes_as_it_did() {
        let json = r#"{"format":1,"label":{"column":"y","task":"regression","min":0,"max":1,"mean":0},
            "fields":[{"name":"a","kind":"categorical","vocabulary":["4.0"," b"]},
                      {"name":"n","kind":"numeric","mean":0,"std":1}]}"#;
        let schema = Schema::from_json(json).unwrap();
        assert_eq!((schema.reading(0).value("4.0"), schema.reading(0).value(" b")), (Some("4.0"), Some(" b")));
        assert_eq!(Schema::from_json(&schema.to_json()).unwrap(), schema);
        let later = Schema::from_json(&json.replace("\"format\":1", "\"format\":2")).unwrap_err().to_string();
        assert!(later.contains("field `a` lists the value `4.0`, which is read as `4`"), "{later}");
    }

    #[test]
    fn null_values_are_stored_and_in_no_vocabulary() {
        let nulls = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|&text| text.into()).collect();
            schema(&["x", "NA"]).with_null_values(&texts)
        };
        let schema = nulls(&[" -999.0", "-999", ""]).unwrap().with_unknown_shares(&[0.25]).unwrap();
        assert_eq!((schema.null_values(), schema.fields()[0].unknown_share), (&["-999".to_owned()][..], 0.25));
        assert_eq!(Schema::from_json(&schema.to_json()).unwrap(), schema);
        assert!(
            nulls(&["NA "]).unwrap_err().to_string().contains("field `a` lists the value `NA`, which is a null value")
        );
        assert!(schema.clone().with_unknown_shares(&[]).is_err() && schema.with_unknown_shares(&[f32::NAN]).is_err());
    }
}
