//! The `tabmail` program: argv to [`tabmail::server`], and the only exit code.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
