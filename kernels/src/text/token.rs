//! From text to tokens: by a tokenizer file, or by a stand-in that needs none, for random weights; and random tokens of
//! a given number.

use super::config::Config;
use crate::error::{KernelError, Result};
use crate::random::Stream;
use std::path::Path;

/// Stands where there is no piece.
const FILLING: u32 = 0;
/// Ends every text.
const END: u32 = 1;
/// First number of a piece; those below stand for filling, end and the unknown.
const FIRST: u32 = 3;
/// Letters of a piece at the most: longer words are several.
const LONGEST: usize = 6;

/// Makes tokens of texts.
#[derive(Debug)]
pub enum Tokenizer {
    /// The stand-in.
    Hash(HashTokens),
    /// A model's own.
    #[cfg(feature = "tokenizers")]
    File(Box<tokenizers::Tokenizer>),
}

impl Tokenizer {
    /// The stand-in for an encoder.
    pub fn hash(config: &Config) -> Self {
        Self::Hash(HashTokens::new(config.vocabulary))
    }

    /// The tokenizer of a `tokenizer.json`. Needs the feature `tokenizers` of this crate.
    ///
    /// # Errors
    /// [`KernelError::File`] if the file is none, or if the feature was left out of this build.
    pub fn open(path: &Path) -> Result<Self> {
        let refuse = |why: String| KernelError::File { path: path.into(), why };
        #[cfg(feature = "tokenizers")]
        let opened = tokenizers::Tokenizer::from_file(path)
            .and_then(|mut tokenizer| {
                // Texts are cut here, where the template's end is known, and filled up by the pipeline.
                tokenizer.with_truncation(None)?.with_padding(None);
                Ok(Self::File(Box::new(tokenizer)))
            })
            .map_err(|error| refuse(error.to_string()));
        #[cfg(not(feature = "tokenizers"))]
        let opened = Err(refuse("reading it needs a build with the feature `tokenizers`".into()));
        opened
    }

    /// The tokens of a prompt in the template of `config`: at most `most` beside those that the encoder skips. Of a longer
    /// one the prompt's last words go; what the template puts behind it, and the token that ends a text, stay.
    ///
    /// # Errors
    /// [`KernelError::File`] if a model's own tokenizer fails.
    pub fn tokens(&self, config: &Config, prompt: &str, most: usize) -> Result<Vec<u32>> {
        let (head, tail) = config.template.split_once("{}").unwrap_or_default();
        let tokens = match self {
            Self::Hash(tokenizer) => {
                // As many as the encoder skips, whatever a model's own tokenizer makes of the template.
                let mut tokens = tokenizer.pieces(head);
                tokens.resize(config.skip, FILLING);
                tokens.extend(self.encode(&format!("{prompt}{tail}"))?);
                tokens
            }
            #[cfg(feature = "tokenizers")]
            Self::File(_) => self.encode(&format!("{head}{prompt}{tail}"))?,
        };
        Ok(cut(tokens, self.encode(tail)?.len(), most + config.skip))
    }

    /// The tokens of a text as it is, with the one that ends it, if there is such a token.
    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match self {
            Self::Hash(tokenizer) => Ok(tokenizer.tokens(text, usize::MAX)),
            #[cfg(feature = "tokenizers")]
            Self::File(tokenizer) => {
                let encoding = tokenizer.encode(text, true).map_err(|error| KernelError::File {
                    path: "tokenizer".into(),
                    why: error.to_string(),
                })?;
                Ok(encoding.get_ids().to_vec())
            }
        }
    }
}

/// The tokens, `most` at the most: the last `end` of them stay, those before them go.
fn cut(mut tokens: Vec<u32>, end: usize, most: usize) -> Vec<u32> {
    if tokens.len() > most {
        let tail = tokens.split_off(tokens.len() - end.min(most));
        tokens.truncate(most - tail.len());
        tokens.extend(tail);
    }
    tokens
}

/// Tokens by hash: words, their pieces and punctuation become numbers in the vocabulary by FNV-1a. Any text has tokens, equal
/// words have equal ones, no file is needed; meaning there is none, which random weights do not have either.
#[derive(Clone, Copy, Debug)]
pub struct HashTokens {
    vocabulary: usize,
}

impl HashTokens {
    /// The tokenizer for a vocabulary.
    ///
    /// # Panics
    /// If the vocabulary has fewer than 4 tokens.
    pub fn new(vocabulary: usize) -> Self {
        assert!(vocabulary > FIRST as usize, "a vocabulary of {vocabulary}");
        Self { vocabulary }
    }

    /// The tokens of a text, at most `most`, the last of them the end.
    ///
    /// ```
    /// use flexdit_kernels::text::HashTokens;
    /// let tokenizer = HashTokens::new(1000);
    /// let tokens = tokenizer.tokens("The lighthouse, the sea", 64);
    /// // The, lighth, ouse, comma, the, sea, end; upper case counts.
    /// assert_eq!(tokens.len(), 7);
    /// assert_eq!(tokenizer.tokens("", 64), [1]);
    /// assert_eq!(tokenizer.tokens("a b c d", 3).len(), 3);
    /// ```
    pub fn tokens(&self, text: &str, most: usize) -> Vec<u32> {
        let mut tokens = self.pieces(text);
        tokens.truncate(most.saturating_sub(1));
        tokens.push(END);
        tokens
    }

    /// The tokens of a text, without an end.
    fn pieces(&self, text: &str) -> Vec<u32> {
        pieces(text).iter().map(|piece| self.token(piece)).collect()
    }

    fn token(&self, piece: &str) -> u32 {
        let hash = piece.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let range = self.vocabulary as u64 - u64::from(FIRST);
        FIRST + u32::try_from(hash % range).unwrap_or(0)
    }
}

/// Words in pieces, and everything else that is no blank on its own.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut open = false;
    for letter in text.chars() {
        let word = letter.is_alphanumeric();
        match pieces.last_mut() {
            Some(piece) if open && word && piece.chars().count() < LONGEST => piece.push(letter),
            _ if letter.is_whitespace() => {}
            _ => pieces.push(letter.into()),
        }
        open = word;
    }
    pieces
}

/// `count` tokens of a vocabulary that hang on the seed alone, the last of them the end: the prompt of a request of which
/// only the length is known.
///
/// # Panics
/// If `count` is 0 or the vocabulary has fewer than 4 tokens.
pub fn random_tokens(seed: u64, count: usize, vocabulary: usize) -> Vec<u32> {
    assert!(count > 0 && vocabulary > FIRST as usize, "{count} tokens of {vocabulary}");
    let mut stream = Stream::new(seed, "prompt");
    let range = vocabulary - FIRST as usize;
    let mut next = || FIRST + u32::try_from(stream.below(range)).unwrap_or(0);
    let mut tokens: Vec<u32> = (1..count).map(|_| next()).collect();
    tokens.push(END);
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_words_have_equal_tokens() {
        let tokens = HashTokens::new(50_000).tokens("sea, sea;lighthouses 海 12", 99);
        assert_eq!(tokens[0], tokens[2]);
        assert_eq!(tokens.len(), 9, "sea , sea ; lighth ouses 海 12 end");
        assert!(tokens[..8].iter().all(|token| (3..50_000).contains(token)));
        let distinct: std::collections::BTreeSet<_> = tokens.iter().collect();
        assert_eq!(distinct.len(), 8);
    }

    #[test]
    fn a_template_surrounds_the_prompt_and_its_begin_does_not_count() {
        let preset = Config::preset("tiny-image").expect("listed");
        let config = Config { template: "draw a {} now".into(), skip: 2, ..preset };
        let tokenizer = Tokenizer::hash(&config);
        let tokens = |prompt: &str, most| tokenizer.tokens(&config, prompt, most).expect("a hash");
        // Draw, a, red, fox, now, end.
        let whole = tokens("red fox", 64);
        assert_eq!(whole.len(), 6);
        assert_eq!(tokens("red fox", 4), whole);
        assert_eq!(tokens("red fox", 3), [&whole[..3], &whole[4..]].concat());
        assert_eq!(tokens("red fox", 2), [&whole[..2], &whole[4..]].concat());
        assert_eq!(tokens("red fox", 1).last(), Some(&END));
        // The stand-in's pieces of a template are more than the encoder skips.
        let qwen = Config::preset("qwen-image").expect("listed");
        let tokens = Tokenizer::hash(&qwen).tokens(&qwen, "red fox", 64).expect("a hash");
        let plain = HashTokens::new(qwen.vocabulary).tokens("red fox", 64);
        assert_eq!(tokens[qwen.skip..qwen.skip + 2], plain[..2]);
    }

    #[cfg(not(feature = "tokenizers"))]
    #[test]
    fn a_build_without_tokenizer_files_says_so() {
        let error = Tokenizer::open(Path::new("tokenizer.json")).unwrap_err().to_string();
        assert!(
            error
                .contains("tokenizer.json: reading it needs a build with the feature `tokenizers`"),
            "{error}"
        );
    }

    #[cfg(feature = "tokenizers")]
    #[test]
    fn a_tokenizer_file_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokenizer.json");
        let text = r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
            "decoder": null, "model": {"type": "WordLevel", "vocab": {"red": 5, "fox": 6, "?": 0},
            "unk_token": "?"}}"#;
        std::fs::write(&path, text).expect("writable");
        let tokenizer = Tokenizer::open(&path).expect("a tokenizer");
        let config = Config::preset("tiny-image").expect("listed");
        let tokens = |most| tokenizer.tokens(&config, "red fox owl", most).expect("known words");
        assert_eq!((tokens(64), tokens(2)), (vec![5, 6, 0], vec![5, 6]));
        // As those of T5 a text ends in a token of its own, which is kept; the file's own limits do not count.
        let end = r#""post_processor": {"type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}}"#;
        let text = text.replace(r#""post_processor": null"#, end);
        let limit = r#""truncation": {"max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}"#;
        let text = text.replace(r#""truncation": null"#, limit);
        std::fs::write(&path, text).expect("writable");
        let tokenizer = Tokenizer::open(&path).expect("a tokenizer");
        let tokens = |most| tokenizer.tokens(&config, "red fox owl", most).expect("known words");
        assert_eq!((tokens(64), tokens(2)), (vec![5, 6, 0, 1], vec![5, 1]));
        assert!(Tokenizer::open(Path::new("none.json")).is_err());
    }

    #[test]
    fn random_tokens_hang_on_the_seed_alone() {
        let tokens = random_tokens(7, 20, 1000);
        assert_eq!(tokens, random_tokens(7, 20, 1000));
        assert_ne!(tokens, random_tokens(8, 20, 1000));
        assert!(tokens.iter().all(|token| *token < 1000) && tokens.ends_with(&[1]));
        assert_eq!(random_tokens(7, 1, 1000), [1]);
    }
}
