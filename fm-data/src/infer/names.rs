//! What the names of columns suggest.

/// Names of labels, the most telling first.
const LABELS: &[&str] = &[
    "label",
    "target",
    "click",
    "clicked",
    "isclick",
    "isclicked",
    "clk",
    "response",
    "outcome",
    "conversion",
    "converted",
    "isconverted",
    "purchase",
    "purchased",
    "bought",
    "liked",
    "like",
    "rating",
    "stars",
    "y",
];

/// Names of the user, without a word such as `id` at the end.
const USERS: &[&str] = &[
    "user", "uid", "userid", "member", "customer", "client", "visitor", "account", "reviewer", "reader", "viewer",
    "listener", "shopper", "player",
];

/// Names of the item, without a word such as `id` at the end.
const ITEMS: &[&str] = &[
    "item", "iid", "itemid", "movie", "movieid", "film", "product", "sku", "asin", "ad", "advert", "creative",
    "article", "news", "book", "isbn", "song", "track", "video", "game", "app", "business", "venue", "poi", "recipe",
];

/// Words for values that are names, though they may be written in digits.
const CODES: &[&str] = &[
    "id",
    "ids",
    "uid",
    "key",
    "code",
    "zip",
    "zipcode",
    "postal",
    "postcode",
    "hash",
    "user",
    "item",
    "movie",
    "product",
    "sku",
    "isbn",
    "ad",
    "advertiser",
    "campaign",
    "creative",
    "category",
    "cat",
    "brand",
    "shop",
    "store",
    "site",
    "app",
    "device",
    "model",
    "type",
    "class",
    "group",
    "segment",
    "cluster",
    "region",
    "city",
    "country",
    "state",
    "ip",
    "channel",
    "year",
    "month",
    "weekday",
    "hour",
    "day",
    "version",
    "flag",
];

/// Words for values that are amounts.
const AMOUNTS: &[&str] = &[
    "price",
    "amount",
    "cost",
    "count",
    "counts",
    "cnt",
    "n",
    "age",
    "duration",
    "length",
    "len",
    "size",
    "weight",
    "score",
    "rate",
    "ratio",
    "avg",
    "mean",
    "total",
    "sum",
    "days",
    "hours",
    "minutes",
    "seconds",
    "distance",
    "lat",
    "latitude",
    "lon",
    "lng",
    "longitude",
    "temperature",
    "income",
    "balance",
    "quantity",
    "qty",
    "revenue",
    "gain",
    "loss",
    "height",
];

/// Words for points in time.
const TIMES: &[&str] =
    &["time", "timestamp", "ts", "date", "datetime", "dt", "created", "updated", "unix", "epoch", "at", "when", "day"];

/// Words for times that do not order rows.
const OTHER_TIMES: &[&str] = &["birth", "birthday", "born", "dob", "release", "released", "founded", "expiry"];

/// Words for lists of earlier items, which grow with time.
const HISTORIES: &[&str] =
    &["history", "hist", "sequence", "seq", "clicked", "viewed", "visited", "watched", "bought", "recent", "session"];

/// Names of the weights of rows. A column `weight` may be that of a body or a parcel.
const WEIGHTS: &[&str] = &["sampleweight", "rowweight", "exampleweight", "instanceweight", "importanceweight"];

/// Names of the titles of items.
const TITLES: &[&str] = &["title", "itemname", "productname", "name"];

/// The name of a column and its words, in lower case.
#[derive(Debug)]
pub(super) struct Name {
    words: Vec<String>,
    /// The words without anything between them.
    joined: String,
}

impl Name {
    pub fn new(name: &str) -> Name {
        let mut words = vec![String::new()];
        let mut before = ' ';
        for c in name.chars() {
            let begins = (c.is_uppercase() && !before.is_uppercase()) || c.is_ascii_digit() != before.is_ascii_digit();
            if (begins || !c.is_alphanumeric()) && words.last().is_some_and(|word| !word.is_empty()) {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
                word.extend(c.to_lowercase());
            }
            before = c;
        }
        words.retain(|word| !word.is_empty());
        Name { joined: words.concat(), words }
    }

    /// The rank of the name among those of labels; `None` for another name.
    pub fn label_rank(&self) -> Option<usize> {
        LABELS.iter().position(|label| self.joined == *label)
    }

    pub fn is_user(&self) -> bool {
        USERS.contains(&self.entity().as_str())
    }

    pub fn is_item(&self) -> bool {
        ITEMS.contains(&self.entity().as_str())
    }

    /// Whether it names values, which may be written in digits.
    pub fn is_code(&self) -> bool {
        self.is_user()
            || self.is_item()
            || self.has_word(CODES) && !self.words.last().is_some_and(|word| AMOUNTS.contains(&word.as_str()))
    }

    /// Whether it names an amount.
    pub fn is_amount(&self) -> bool {
        self.has_word(AMOUNTS) && !self.is_code()
    }

    /// Whether it names a time of its own, not that of the row.
    pub fn is_other_time(&self) -> bool {
        self.has_word(OTHER_TIMES)
    }

    pub fn is_time(&self) -> bool {
        self.has_word(TIMES) || ["timestamp", "datetime"].iter().any(|word| self.joined.contains(word))
    }

    pub fn is_history(&self) -> bool {
        self.has_word(HISTORIES)
    }

    pub fn is_weight(&self) -> bool {
        WEIGHTS.contains(&self.joined.as_str())
    }

    pub fn is_title(&self) -> bool {
        TITLES.contains(&self.joined.as_str()) || self.words.last().is_some_and(|word| word == "title")
    }

    fn has_word(&self, words: &[&str]) -> bool {
        self.words.iter().any(|word| words.contains(&word.as_str()))
    }

    /// What an id is of.
    fn entity(&self) -> String {
        match self.words.split_last() {
            Some((last, rest))
                if !rest.is_empty()
                    && ["id", "no", "nr", "num", "number", "key", "code", "index", "idx"].contains(&last.as_str()) =>
            {
                rest.concat()
            }
            _ => self.joined.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_in_any_style() {
        let words = |name: &str| Name::new(name).words.join(" ");
        assert_eq!(
            ["user_id", "userId", "UserID", "I1", "is click?"].map(words),
            ["user id", "user id", "user id", "i 1", "is click"]
        );
        for user in ["user", "user_id", "userId", "UID", "customer-no", "visitor_id"] {
            assert!(Name::new(user).is_user(), "{user}");
        }
        for item in ["item", "movieId", "ad_id", "ASIN", "product_code"] {
            assert!(Name::new(item).is_item(), "{item}");
        }
        assert!(!Name::new("user_age").is_user() && !Name::new("item_price").is_item() && !Name::new("ads").is_item());
    }

    #[test]
    fn words_tell_codes_from_amounts() {
        let is = |name: &str| (Name::new(name).is_code(), Name::new(name).is_amount());
        for code in ["zip", "user_id", "device_type", "C1_code", "product_category", "year"] {
            assert_eq!(is(code), (true, false), "{code}");
        }
        for amount in ["price", "item_price", "user_age", "n_clicks", "product_weight", "city_distance"] {
            assert_eq!(is(amount), (false, true), "{amount}");
        }
        assert_eq!((is("I1"), is("f17")), ((false, false), (false, false)));
        assert!(
            Name::new("created_at").is_time() && Name::new("eventTimestamp").is_time() && !Name::new("user").is_time()
        );
        assert!(Name::new("label").label_rank() < Name::new("click").label_rank());
        assert_eq!(Name::new("clicks").label_rank(), None);
    }
}
