//! The `fewlab` command: reads the arguments and hands over.

fn main() -> std::process::ExitCode {
    // Before anything is allocated.
    fewlab::tensor::cpu::buffer::tune_allocator();
    fewlab::cli::main()
}
