"""Scores of items, worked out by hand."""

import numpy as np

from generators.material.items import choice_accuracy, exact_match, rouge_l


def test_exact_match_compares_the_whole_answer() -> None:
    answers = np.array([[1, 2], [3, 4], [5, 6]])
    assert exact_match(np.array([[1, 2], [3, 9], [6, 5]]), answers).tolist() == [True, False, False]


def test_rouge_l_agrees_with_the_examples_of_its_paper() -> None:
    # Lin 2004, section 3.1: four words each, with common subsequences of 3, 2 and 2 words.
    reference = "police killed the gunman"
    scores = rouge_l(["police kill the gunman", "the gunman kill police", "the gunman police killed"], [reference] * 3)
    assert scores.tolist() == [0.75, 0.5, 0.5]


def test_rouge_l_is_f1_over_words_in_lower_case() -> None:
    generated = ["The old  lamp!", "the", "", "...", "a b c d"]
    answers = ["the OLD lamp, he said", "the lamp", "the lamp", "the lamp", "e f"]
    # 2 x 3 / (3 + 5), 2 x 1 / (1 + 2), and 0 if there are no words, or none in common.
    np.testing.assert_allclose(rouge_l(generated, answers), [6 / 8, 2 / 3, 0, 0, 0])


def test_choice_takes_the_most_likely_option_and_shares_ties() -> None:
    log_likelihoods = np.array([[-1.0, -2, -3], [-2, -1, -3], [-1, -1, -3], [-1, -1, -1], [-3, -1, -1]])
    np.testing.assert_allclose(choice_accuracy(log_likelihoods, np.array([0, 0, 1, 2, 0])), [1, 0, 1 / 2, 1 / 3, 0])
