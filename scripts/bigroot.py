#!/usr/bin/env python3
"""Fills a MailRoot with many domains, accounts and aliases: scripts/bigroot.py MAILROOT [--domains 1000]
[--accounts 100000] [--aliases 100000] [--directories]

The MailRoot is made by `tabmail init` before; rows are appended to its tables. Names are plain to guess: account N is
userN@dM.big.test with M = N modulo the domains, its password is "secretN", its alias aliasN. With --directories every
domain and account gets its directory with user.tab and Maildir, as `check` wants them; a server starts without them.
"""

import argparse
import pathlib
import time

from served import encoded


def domain(n):
    return f"d{n}.big.test"


def append(path, rows):
    with open(path, "a") as file:
        file.writelines(rows)


def fill(root, domains=1000, accounts=100_000, aliases=100_000, directories=False):
    root = pathlib.Path(root)
    of = lambda n: domain(n % domains)
    append(root / "domains.tab", (f'"{domain(n)}"\n' for n in range(domains)))
    append(
        root / "mailusers.tab",
        (f'"{of(n)}"\t"user{n}"\t"{encoded(f"secret{n}")}"\t{n + 1000}\t"user{n}"\t"U"\n' for n in range(accounts)),
    )
    append(root / "aliases.tab", (f'"{of(n)}"\t"alias{n}"\t"user{n}"\n' for n in range(aliases)))
    if directories:
        for n in range(accounts):
            home = root / "domains" / of(n) / f"user{n}"
            for part in ("tmp", "new", "cur"):
                (home / "Maildir" / part).mkdir(parents=True, exist_ok=True)
            (home / "user.tab").write_text(f'"RealName"\t"User {n}"\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mailroot", type=pathlib.Path)
    parser.add_argument("--domains", type=int, default=1000)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--aliases", type=int, default=100_000)
    parser.add_argument("--directories", action="store_true")
    given = parser.parse_args()
    if not (given.mailroot / "server.tab").exists():
        raise SystemExit(f"{given.mailroot}: no MailRoot; make one with: tabmail init {given.mailroot}")
    begun = time.monotonic()
    fill(given.mailroot, given.domains, given.accounts, given.aliases, given.directories)
    print(f"filled {given.accounts} accounts in {given.domains} domains in {time.monotonic() - begun:.1f} s")


if __name__ == "__main__":
    main()
