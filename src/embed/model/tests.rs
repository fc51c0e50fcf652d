//! The model that is compiled in, and how its vectors compare.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

static MODEL: LazyLock<StaticModel> =
    LazyLock::new(|| StaticModel::builtin().expect("the weights are part of the crate"));

fn embed(text: &str) -> Vec<f32> {
    MODEL.embed(text).unwrap()
}

fn cosine(left: &str, right: &str) -> f32 {
    embed(left).iter().zip(embed(right)).map(|(left, right)| left * right).sum()
}

#[test]
fn the_vocabulary_spells_common_words() {
    let spelled = |word: &str| -> Vec<&str> {
        let tokens = MODEL.tokens(word);
        tokens.iter().map(|token| VOCABULARY.lines().nth(*token as usize).unwrap()).collect()
    };
    let cases: &[(&str, &[&str])] = &[
        ("readFile", &["read", "file"]),
        ("tokenizer", &["token", "##izer"]),
        ("async", &["as", "##yn", "##c"]),
        ("sha256", &["sha", "256"]),
        ("[CLS]", &["cl", "##s"]),
        ("ﷺ", &[]),
    ];
    for (word, expected) in cases {
        assert_eq!(spelled(word), *expected, "{word:?}");
    }
}

#[test]
fn a_description_is_nearer_to_its_code_than_to_other_code() {
    let codes = [
        "def read_lines(path):\n    with open(path) as handle:\n        yield from handle",
        "fn connect(&self, to: SocketAddr) -> Result<Connection> { self.pool.acquire(to) }",
        "function renderButton(props) { return h('button', { click: props.onClick }, props.label) }",
        "def test_matrix_inverse():\n    assert np.allclose(inv(m) @ m, np.eye(3))",
    ];
    let cases = [
        ("read a file line by line", 0),
        ("open a connection from the pool", 1),
        ("draw a button that can be clicked", 2),
        ("check the inverse of a matrix", 3),
    ];
    for (question, answer) in cases {
        let scores = codes.map(|code| cosine(question, code));
        let best = (0..codes.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        assert_eq!(best, Some(answer), "{question:?}: {scores:?}");
    }
}

#[test]
fn spelling_of_an_identifier_does_not_matter() {
    assert_eq!(embed("parseHTTPHeader"), embed("parse_http_header"));
    assert_eq!(embed("UTF-8 decoder"), embed("utf8Decoder"));
}

#[test]
fn a_text_without_a_known_word_has_no_vector() {
    for text in ["", "+++", " \n\t", "{}();", "🙂"] {
        assert_eq!(MODEL.embed(text), None, "{text:?}");
    }
}

#[test]
fn tokens_past_the_limit_do_not_count() {
    let text = "file ".repeat(MAX_TOKENS);
    assert_eq!(embed(&text), embed(&format!("{text} network socket")));
    assert_ne!(embed(&text), embed(&format!("network socket {text}")));
    // The word that crosses the limit is cut like any other.
    assert_eq!(
        MODEL.tokens(&format!("{} tokenizer", "a ".repeat(MAX_TOKENS - 1))).len(),
        MAX_TOKENS
    );
}

#[test]
fn a_repeated_word_counts_less_each_time() {
    for (times, expected) in [(0, 0.0), (1, 1.0), (2, 1.5), (3, 11.0 / 6.0)] {
        assert!((diminished(times) - expected).abs() < 1e-6, "{times}");
    }
    let once = cosine("file", "file socket");
    let often = cosine("file", "file file file file socket");
    assert!(once < often && often < 1.0, "{once} {often}");
}

#[test]
fn identity_follows_from_the_weights() {
    let identity = MODEL.identity();
    assert_eq!(identity, StaticModel::builtin().unwrap().identity());
    assert_eq!((identity.name.as_str(), identity.dimension), ("codebase-mcp-static", DIMENSION));
    // Other weights need another version: people read the version, the server compares the hash.
    let weights = "9f9b2e301bc87217bbad4ccd619606c5cfa5963e8e78b23ea16c58ef95293b19";
    assert_eq!((identity.version.as_str(), identity.weights_hash.as_str()), ("1", weights));
    assert_ne!(identity.weights_hash, hash(WEIGHTS, "another vocabulary"));
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let error = StaticModel::load(b"not a tensor file", VOCABULARY).unwrap_err();
    assert!(matches!(error, LoadError::Format(_)), "{error:?}");
    let error = StaticModel::load(WEIGHTS, "one\ntwo").unwrap_err();
    let LoadError::Tensor { tensor, expected, .. } = error else { panic!("{error:?}") };
    assert_eq!((tensor, expected.as_str()), ("vectors", "I8 [2, 256]"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_vector_has_length_one_and_comes_out_again(text in "[a-zA-Z0-9_ ().ßé日]{0,200}") {
        let vector = MODEL.embed(&text);
        prop_assert_eq!(&vector, &MODEL.embed(&text));
        if let Some(vector) = vector {
            prop_assert_eq!(vector.len(), DIMENSION);
            let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
            prop_assert!((length - 1.0).abs() < 1e-5, "{}", length);
        }
    }
}
