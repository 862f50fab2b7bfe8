"""Byte-level byte pair encoding (Sennrich et al. 2016), trained on the given text. It can encode any text."""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

PADDING = "<pad>"  # the pre-tokeniser separates brackets from letters, so no token of a text equals this


def train_bpe(texts: Iterable[str], size: int) -> Tokenizer:
    """Trains an encoder of at most `size` tokens, including all 256 bytes. Equal texts give equal merges on every
    machine.
    """
    encoder = Tokenizer(models.BPE())
    encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    encoder.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    )
    return encoder


def learn_vocabulary(texts: Iterable[str], size: int | None) -> tuple[str, ...]:
    """Returns at most `size` tokens: those trained on the texts, and padding. With `size` None they are the bytes and
    padding.
    """
    return (*(byte_letters() if size is None else vocabulary_of(train_bpe(texts, size - 1))), PADDING)


def vocabulary_of(encoder: Tokenizer) -> tuple[str, ...]:
    """Returns the tokens of an encoder in order, spelt in GPT-2's byte alphabet."""
    vocabulary = encoder.get_vocab()
    return tuple(sorted(vocabulary, key=vocabulary.__getitem__))


def byte_letters() -> tuple[str, ...]:
    """Returns GPT-2's byte alphabet: the letter for each of the 256 bytes ("Ġ" is a space, "Ċ" a line break).

    Printable bytes of Latin-1 are their own letters; the others take the letters from 256 on, in order.
    """
    printable = {ord(letter) for letter in pre_tokenizers.ByteLevel.alphabet() if ord(letter) < 256}
    others = iter(range(256, 512))
    return tuple(chr(byte if byte in printable else next(others)) for byte in range(256))
