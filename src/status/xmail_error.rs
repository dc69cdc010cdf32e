//! XMail's error numbers and texts (`mailflow.md` 16), seen in CTRL replies, SMTP replies and `slog` files.

/// The text of error `number`, given with or without its minus sign; `Unknown error code` where XMail has none.
#[must_use]
pub fn xmail_error_text(number: i32) -> &'static str {
    let text = usize::try_from(number.unsigned_abs()).ok().and_then(|index| TEXTS.get(index));
    text.copied().unwrap_or(UNKNOWN)
}

/// The highest number XMail knows.
pub const XMAIL_ERROR_MAX: i32 = 268;

/// The numbers our rooms use, as positive values; they are written with a minus sign.
#[allow(missing_docs, reason = "the text of each number is in the table below")]
pub mod number {
    pub const SUCCESS: i32 = 0;
    pub const USER_NOT_FOUND: i32 = 12;
    pub const USER_EXISTS: i32 = 13;
    pub const FILE_DELETE: i32 = 16;
    pub const FILE_OPEN: i32 = 19;
    pub const FILE_INVALID: i32 = 20;
    pub const INVALID_PASSWORD: i32 = 24;
    pub const ALIAS_EXISTS: i32 = 26;
    pub const ALIAS_NOT_FOUND: i32 = 28;
    pub const SMTP_COMMAND_LINE: i32 = 31;
    pub const RETURN_PATH: i32 = 32;
    pub const RELAY_NOT_ALLOWED: i32 = 34;
    pub const FORWARD_PATH: i32 = 35;
    pub const SERVER_ADDRESS: i32 = 40;
    pub const SERVER_RESPONSE: i32 = 41;
    pub const POP3_LINK_EXISTS: i32 = 44;
    pub const POP3_LINK_NOT_FOUND: i32 = 46;
    pub const NOT_A_MAILING_LIST: i32 = 50;
    pub const LIST_USER_EXISTS: i32 = 52;
    pub const LIST_USER_NOT_FOUND: i32 = 53;
    pub const SPOOL_FILE_NOT_FOUND: i32 = 54;
    pub const SPOOL_FILE_INVALID: i32 = 55;
    pub const DOMAIN_NOT_HANDLED: i32 = 59;
    pub const SMTP_RESPONSE: i32 = 60;
    pub const EXTERNAL_ALIAS_EXISTS: i32 = 67;
    pub const EXTERNAL_ALIAS_NOT_FOUND: i32 = 69;
    pub const MAIL_FROM_REFUSED: i32 = 76;
    pub const RCPT_TO_REFUSED: i32 = 77;
    pub const DATA_REFUSED: i32 = 78;
    pub const NAME_SERVER_NOT_FOUND: i32 = 101;
    pub const NO_MX: i32 = 102;
    pub const CTRL_SYNTAX: i32 = 103;
    pub const DOMAIN_EXISTS: i32 = 104;
    pub const CTRL_LOGIN: i32 = 105;
    pub const SPAMMER_IP: i32 = 107;
    pub const DNS_RECORD_NOT_FOUND: i32 = 110;
    pub const MAILBOX_FULL: i32 = 112;
    pub const EXTERNAL_PROGRAM: i32 = 114;
    pub const NO_MAILPROC: i32 = 116;
    pub const NOT_A_CUSTOM_DOMAIN: i32 = 120;
    pub const SERVER_TOO_BUSY: i32 = 129;
    pub const PEER_IP_REFUSED: i32 = 130;
    pub const ADDRESS_SYNTAX: i32 = 132;
    pub const FILTERED: i32 = 134;
    pub const SMTP_CLIENT_AUTH: i32 = 148;
    pub const SERVER_FORBIDDEN: i32 = 150;
    pub const END_OF_STREAM: i32 = 152;
    pub const LOCK_ENTRY_NOT_FOUND: i32 = 161;
    pub const LINE_TOO_LONG: i32 = 162;
    pub const MAIL_LOOP: i32 = 163;
    pub const TOO_MANY_RECIPIENTS: i32 = 166;
    pub const MESSAGE_FILE_NOT_FOUND: i32 = 194;
    pub const LOW_DISK: i32 = 197;
    pub const LOW_MEMORY: i32 = 198;
    pub const ACCOUNT_DISABLED: i32 = 199;
    pub const MESSAGE_TOO_BIG: i32 = 201;
    pub const MESSAGE_TOO_BIG_FOR_PEER: i32 = 202;
    pub const PEER_IP_MAPPED: i32 = 203;
    pub const DOMAIN_ALIAS_EXISTS: i32 = 205;
    pub const DOMAIN_ALIAS_NOT_FOUND: i32 = 206;
    pub const LOG_EMPTY: i32 = 213;
    pub const RELATIVE_PATH: i32 = 214;
    pub const DNS_NAME_NOT_FOUND: i32 = 215;
    pub const NOT_RFC822_NAME: i32 = 216;
    pub const CONNECT: i32 = 217;
    pub const TLS_READ: i32 = 237;
    pub const TLS_WRITE: i32 = 238;
    pub const TLS_NOT_OFFERED: i32 = 241;
    pub const TLS_REQUIRED: i32 = 245;
    pub const NOT_FOUND: i32 = 246;
    pub const DNS_DEPTH: i32 = 253;
    pub const DNS_SERVER_FAILED: i32 = 256;
    pub const HOST_NAME: i32 = 260;
}

const UNKNOWN: &str = "Unknown error code";

/// By number. XMail's spelling is kept.
#[rustfmt::skip]
const TEXTS: [&str; 269] = [
    /*   0 */ "Success",
    /*   1 */ "Server shutdown",
    /*   2 */ "Memory allocation error",
    /*   3 */ "Network kernel error",
    /*   4 */ "Cannot create socket",
    /*   5 */ "Timeout error",
    /*   6 */ "Already locked",
    /*   7 */ "Socket bind error",
    /*   8 */ "Mail root path not found",
    /*   9 */ "Users table file not found",
    /*  10 */ "Unable to create file",
    /*  11 */ UNKNOWN,
    /*  12 */ "User not found",
    /*  13 */ "User already exist",
    /*  14 */ "Error writing users file",
    /*  15 */ "User profile file not found",
    /*  16 */ "Unable to remove file",
    /*  17 */ "Unable to create directory",
    /*  18 */ "Unable to remove directory",
    /*  19 */ "Unable to open file",
    /*  20 */ "Invalid file structure",
    /*  21 */ "Unable to write file",
    /*  22 */ "Message out of range",
    /*  23 */ "Message deleted",
    /*  24 */ "Invalid password",
    /*  25 */ "Users alias file not found",
    /*  26 */ "Alias already exist",
    /*  27 */ "Error writing alias file",
    /*  28 */ "Alias not found",
    /*  29 */ "Server profile not locked",
    /*  30 */ "Error getting peer address info",
    /*  31 */ "Error parsing SMTP command line",
    /*  32 */ "Bad return path syntax",
    /*  33 */ "Bad email address",
    /*  34 */ "Relay not allowed",
    /*  35 */ "Bad forward path syntax",
    /*  36 */ "Error getting sock address info",
    /*  37 */ "Error getting sock host name",
    /*  38 */ "Unable to know server domain",
    /*  39 */ "User not local",
    /*  40 */ "Invalid server address",
    /*  41 */ "Bad server response",
    /*  42 */ "Invalid POP3 response",
    /*  43 */ "POP3 links file not found",
    /*  44 */ "POP3 link already exist",
    /*  45 */ "Error writing POP3 links file",
    /*  46 */ "POP3 link not found",
    /*  47 */ "SMTP gateway file not found",
    /*  48 */ "SMTP gateway already exist",
    /*  49 */ "SMTP gateway not found",
    /*  50 */ "User is not a mailing list",
    /*  51 */ "Mailing list users table file not found",
    /*  52 */ "Mailing list user already exist",
    /*  53 */ "Mailing list user not found",
    /*  54 */ "Spool file not found",
    /*  55 */ "Invalid spool file",
    /*  56 */ "Spool file has reached max retry ops",
    /*  57 */ "SMTP relay file not found",
    /*  58 */ "POP3 domains file not found",
    /*  59 */ "POP3 domain not handled",
    /*  60 */ "Bad SMTP response",
    /*  61 */ "Config variable not found",
    /*  62 */ "Bad DNS response",
    /*  63 */ "SMTP gateway not found",
    /*  64 */ "Incomplete server configuration file",
    /*  65 */ "Mail error loop detected",
    /*  66 */ "External-Alias file not found",
    /*  67 */ "External alias already exist",
    /*  68 */ "Error writing External-Alias file",
    /*  69 */ "External alias not found",
    /*  70 */ "Unable to open default user profile",
    /*  71 */ "Error in FINGER query",
    /*  72 */ "Resource already locked",
    /*  73 */ "No predefined mail exchanger",
    /*  74 */ "No more MX records",
    /*  75 */ "Invalid message format",
    /*  76 */ "[MAIL FROM:] not permitted by remote SMTP server",
    /*  77 */ "[RCPT TO:] not permitted by remote SMTP server",
    /*  78 */ "[DATA] not permitted by remote SMTP server",
    /*  79 */ "Invalid MX records string format",
    /*  80 */ "Error in function {setsockopt}",
    /*  81 */ "Error in function {CreateEvent}",
    /*  82 */ "Error in function {CreateSemaphore}",
    /*  83 */ "Error in function {CloseHandle}",
    /*  84 */ "Error in function {ReleaseSemaphore}",
    /*  85 */ "Error in function {_beginthreadex}",
    /*  86 */ "Error in function {CreateFileMapping}",
    /*  87 */ "Error in function {MapViewOfFile}",
    /*  88 */ "Error in function {UnmapViewOfFile}",
    /*  89 */ "Error in function {semget}",
    /*  90 */ "Error in function {semctl}",
    /*  91 */ "Error in function {semop}",
    /*  92 */ "Error in function {fork}",
    /*  93 */ "Error in function {shmget}",
    /*  94 */ "Error in function {shmctl}",
    /*  95 */ "Error in function {shmat}",
    /*  96 */ "Error in function {shmdt}",
    /*  97 */ "Error in function {opendir}",
    /*  98 */ "Error in function {stat}",
    /*  99 */ "Bad SMTP command sequence",
    /* 100 */ "RootDomain config var not found",
    /* 101 */ "Name Server for domain not found",
    /* 102 */ "No MX records defined for domain",
    /* 103 */ "Bad CTRL command syntax",
    /* 104 */ "Domain already exist",
    /* 105 */ "Bad controller login",
    /* 106 */ "Controller accounts file not found",
    /* 107 */ "Server registered spammer IP",
    /* 108 */ "Truncated UDP DNS response",
    /* 109 */ "Unable to get UDP DNS response",
    /* 110 */ "Requested DNS record not found",
    /* 111 */ "Bad SmartDNSHost config syntax",
    /* 112 */ "User maximum mailbox size reached",
    /* 113 */ "Bad \"DynDnsSetup\" config syntax",
    /* 114 */ "Error executing external process",
    /* 115 */ "Bad mailproc.tab command syntax",
    /* 116 */ "User mail processing file not present",
    /* 117 */ "DNS recursion not available",
    /* 118 */ "External POP3 link disabled",
    /* 119 */ "Error in custom domain processing file syntax",
    /* 120 */ "Not a custom domain",
    /* 121 */ "No more tokens",
    /* 122 */ "Error in function {select}",
    /* 123 */ "Error in function {RegisterEventSource}",
    /* 124 */ "No more semaphores available",
    /* 125 */ "Invalid semaphore",
    /* 126 */ "Shared memory already exist",
    /* 127 */ "Shared memory not exist",
    /* 128 */ "Semaphore not exist",
    /* 129 */ "Server too busy, retry later",
    /* 130 */ "Server does not like Your IP",
    /* 131 */ "End of file reached",
    /* 132 */ "Bad tag ( From: , etc ... ) address",
    /* 133 */ "Unable to extract \"MAIL FROM: <>\" address",
    /* 134 */ "Message rejected by server filters",
    /* 135 */ "Domain filter not defined",
    /* 136 */ "POP3 RETR operation broken in data retrieval",
    /* 137 */ "Invalid controller response",
    /* 138 */ "Controller response error",
    /* 139 */ "Custom domain processing incomplete",
    /* 140 */ "No external auth defined for requested username@domain",
    /* 141 */ "External authentication error",
    /* 142 */ "MD5 authentication failed",
    /* 143 */ "SMTP authentication config not found",
    /* 144 */ "Unknown SMTP authentication mode",
    /* 145 */ "Bad SMTP authentication config",
    /* 146 */ "Bad external program exit code",
    /* 147 */ "Bad SMTP command syntax",
    /* 148 */ "SMTP client authentication failed",
    /* 149 */ "Bad external SMTP auth response file syntax",
    /* 150 */ "Server use is forbidden",
    /* 151 */ "Server registered spammer domain",
    /* 152 */ "End of socket stream data",
    /* 153 */ "Bad TAB field index",
    /* 154 */ "Error reading file",
    /* 155 */ "Bad index file format",
    /* 156 */ "Record hash not found in index",
    /* 157 */ "Record not found in TAB file",
    /* 158 */ "Heap block alloc error",
    /* 159 */ "Heap block free error",
    /* 160 */ "Trying to unlock an unlocked resource",
    /* 161 */ "Resource lock entry not found",
    /* 162 */ "Stream line too long",
    /* 163 */ "Mail loop detected",
    /* 164 */ "Unable to move file",
    /* 165 */ "Error invalid Maildir sub path",
    /* 166 */ "Too many SMTP recipients",
    /* 167 */ "Error in DNS cache file format",
    /* 168 */ "DNS cache file expired",
    /* 169 */ "Error in function {mmap}",
    /* 170 */ "Not locked",
    /* 171 */ "SMTP forward gateway file not found",
    /* 172 */ "SMTP forward gateway not found",
    /* 173 */ "Operation interrupted",
    /* 174 */ "Error setting thread priority",
    /* 175 */ "Empty message sender",
    /* 176 */ "Mail tag \"To:\" missing",
    /* 177 */ "Error loading dynamic module",
    /* 178 */ "Error loading dynamic module symbol",
    /* 179 */ "No more TLS keys are available",
    /* 180 */ "Invalid TLS key",
    /* 181 */ "Error initialization failed",
    /* 182 */ "Error in function {sendfile}",
    /* 183 */ "Error in function {pthread_mutex_init}",
    /* 184 */ "Error in function {pthread_cond_init}",
    /* 185 */ "Error in function {pthread_create}",
    /* 186 */ "Error in function {CreateMutex}",
    /* 187 */ "Local spool empty",
    /* 188 */ "Unable to retrieve an handled domain from peer IP",
    /* 189 */ "Remote domain has no DNS/MX entries",
    /* 190 */ "Bad characters in command line",
    /* 191 */ "POP3 fetched message failed delivery",
    /* 192 */ "User configuration variable not found",
    /* 193 */ "Invalid or not available POP3 connection IP",
    /* 194 */ "Message file not existent",
    /* 195 */ "Error getting disk space info",
    /* 196 */ "Error getting memory info",
    /* 197 */ "System low in disk space",
    /* 198 */ "System low in virtual memory",
    /* 199 */ "Account disabled",
    /* 200 */ "Bad format for DNS name record",
    /* 201 */ "Message exceeds fixed maximum message size",
    /* 202 */ "Message too big for the remote SMTP server",
    /* 203 */ "The peer IP is mapped",
    /* 204 */ "Domain aliases file not found",
    /* 205 */ "Domain alias already exist",
    /* 206 */ "Domain alias not found",
    /* 207 */ "Cmd alias not found",
    /* 208 */ "Error in function {getsockopt}",
    /* 209 */ "No fetch headers tags string supplied",
    /* 210 */ "Error setting file times",
    /* 211 */ "Listing directory not found",
    /* 212 */ "Error in function {DuplicateHandle}",
    /* 213 */ "Log file is empty",
    /* 214 */ "Error in relative path syntax",
    /* 215 */ "DNS name not exist",
    /* 216 */ "Name does not respect RFC822",
    /* 217 */ "Error connecting to remote address",
    /* 218 */ "Message marked for deletion",
    /* 219 */ "Pipe creation error",
    /* 220 */ "Error in function {waitpid}",
    /* 221 */ "Error in function {munmap}",
    /* 222 */ "Invalid memory map offset",
    /* 223 */ "File view unmap failed",
    /* 224 */ "Invalid IMAP syntax",
    /* 225 */ "IMAP response NO",
    /* 226 */ "IMAP response BAD",
    /* 227 */ "IMAP response BYE",
    /* 228 */ "Unknown IMAP authentication method",
    /* 229 */ "Message authentication not found",
    /* 230 */ "Invalid parameter",
    /* 231 */ "Already exist",
    /* 232 */ "Error creating SSL context",
    /* 233 */ "Error creating SSL session",
    /* 234 */ "Error establishing SSL connection (connect)",
    /* 235 */ "Error setting the SSL certificate file",
    /* 236 */ "Error setting the SSL key file",
    /* 237 */ "SSL read error",
    /* 238 */ "SSL write error",
    /* 239 */ "SSL certificate validation failed",
    /* 240 */ "SSL certificate missing",
    /* 241 */ "Remote server does not support TLS",
    /* 242 */ "TLS link already active",
    /* 243 */ "SSL private key check failed",
    /* 244 */ "SSL verify-paths load failed",
    /* 245 */ "TLS required for this session",
    /* 246 */ "Not found",
    /* 247 */ "Remote POP3 server does not support UIDL",
    /* 248 */ "Input data corrupted",
    /* 249 */ "TLS service disabled",
    /* 250 */ "Error establishing SSL connection (accept)",
    /* 251 */ "Wrong sequence of commands",
    /* 252 */ "Empty email address",
    /* 253 */ "Maximum DNS quesry depth exceeded",
    /* 254 */ "Unable to set thread stack",
    /* 255 */ "Bad DNS query format",
    /* 256 */ "Remote DNS server failed",
    /* 257 */ "DNS query not supported",
    /* 258 */ "DNS query refused",
    /* 259 */ "Invalid relay address",
    /* 260 */ "Invalid host name",
    /* 261 */ "Invalid INET address",
    /* 262 */ "Connection shutdown error",
    /* 263 */ "SSL connection shutdown error",
    /* 264 */ "Too many elements",
    /* 265 */ "Failed to retrieve entropy bytes",
    /* 266 */ "Failed to wait for event",
    /* 267 */ "Failed to create for eventfd",
    /* 268 */ UNKNOWN,
];
