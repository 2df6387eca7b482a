fn main() -> std::process::ExitCode {
    wardpost::cli::run()
}
