"""The field's own conformance suite, with every capability it can test."""

import unittest

import jupyter_kernel_test


class Fewlab(jupyter_kernel_test.KernelTests):
    kernel_name = "fewlab"
    language_name = "rhai"
    file_extension = ".rhai"
    code_hello_world = 'print("hello, world")'
    code_stderr = 'eprint("oops")'
    completion_samples = [
        {"text": "gan::tra", "matches": {"train("}},
        {"text": "tens", "matches": {"tensor::"}},
        {"text": "%time", "matches": {"%time", "%timeit"}},
    ]
    complete_code_samples = [
        "1 + 1", "let a = 1;", "fn f(a) { a }", "for i in 0..3 { print(i) }", "%time 1 + 1", "%%time\n1 +", "relu?",
        "// a comment", "let s = `several\nlines`;",
    ]
    incomplete_code_samples = [
        "fn f(a) {", "let a =", "[1, 2,", "(1 +", "if true {", "let s = `several", "/* a comment", "#{ a: 1,", "f(1,",
        "try {", "while x <", "1 +",
    ]
    invalid_code_samples = ["let let = 3", ")", "let 1 = 2;", 'let s = "several\nlines";']
    code_page_something = "gan::train?"
    code_generate_error = "undefined_function()"
    code_execute_result = [
        {"code": "1+2", "result": "3"},
        {"code": '"a" + "b"', "result": "ab"},
        {"code": "[1.0, 2.5]", "result": "[1.0, 2.5]"},
    ]
    code_display_data = [
        {"code": "show(figure::grid(tensor::zeros([1, 1, 8, 8])))", "mime": "image/png"},
        {"code": "show(figure::curves(#{ d: [1.0, 0.5] }))", "mime": "image/svg+xml"},
        {"code": "show(tensor::zeros([2, 2]))", "mime": "text/html"},
    ]
    supported_history_operations = ("tail", "range", "search")
    code_history_pattern = "1?2*"
    code_inspect_sample = "gan::train"
    code_clear_output = "clear_output()"


if __name__ == "__main__":
    unittest.main(verbosity=2)
