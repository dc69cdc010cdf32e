//! Simplified Chinese, with the words of the web administration.

use jiff::Timestamp;

use super::{Words, listed, one_line, property_names};
use crate::clock::Clock;
use crate::explain::{Destination, ExplainError, Explanation, Heading, Outcome, Unfollowed};
use crate::mailroot::rules::Action;
use crate::mailroot::trail::{CommandEffect, DnsQuestion};
use crate::mailroot::{Fact, Miss};
use crate::spool::inspect::JOURNALED;

pub(super) struct Chinese;

const NO_HOST: &str = "没有主机";

impl Words for Chinese {
    fn heading(&self, heading: &Heading) -> String {
        match heading {
            Heading::Connect(peer) => format!("来自 {} 的连接", peer.ip().to_canonical()),
            Heading::Command(command) => command.clone(),
            Heading::Delivery { from, to } => format!("投递：<{from}> 发给 <{to}>"),
            Heading::Message(name) => format!("邮件 {name}"),
        }
    }

    fn verdict(&self, explanation: &Explanation) -> String {
        match &explanation.outcome {
            Outcome::Accepted(reply) if explanation.is_good() => format!("接受：{}", one_line(reply)),
            Outcome::Accepted(reply) => format!("接受，但不会送达：{}", one_line(reply)),
            Outcome::Refused(reply) => format!("拒绝：{}", one_line(reply)),
            Outcome::Queued if explanation.is_good() => "在队列中：下次尝试将按以上步骤处理".to_owned(),
            Outcome::Queued => "在队列中：下次尝试将把邮件退回".to_owned(),
            Outcome::Frozen => "已冻结：重新发送之前不做任何处理；重新发送后按以上步骤处理".to_owned(),
            Outcome::Gone => "已处理：邮件不在队列中".to_owned(),
            Outcome::Unreadable(error) => format!("无法读取：{error}"),
        }
    }

    fn end(&self, destination: &Destination) -> String {
        format!("去向：{}", self::destination(destination))
    }

    fn also(&self, row: &str) -> String {
        format!("以及 {row}")
    }

    fn not(&self, row: &str, why: Miss) -> String {
        format!("未采用 {row}  （{}）", self.miss(why))
    }

    fn miss(&self, why: Miss) -> &'static str {
        match why {
            Miss::Shorter => "通配符较短",
            Miss::Pattern => "是通配符，完全相同的行优先",
            Miss::Later => "位置靠后，以第一行为准",
            Miss::Earlier => "位置靠前，优先级相同时以最后一行为准",
            Miss::LowerPrecedence => "优先级较低",
            Miss::NegativePrecedence => "负的优先级永不起作用",
            Miss::Duplicate => "键重复，以第一行为准",
            Miss::HiddenByAccount => "被同名的帐号遮盖",
            Miss::HiddenByCommandAlias => "被同名的命令别名遮盖",
            Miss::NoAccount => "对应的帐号不存在",
            Miss::NotARoute => "不是路由（@relay 或 @relay1,@relay2）",
            Miss::LessSpecific => "不够具体，只采用最具体的变量",
        }
    }

    fn trouble(&self, error: &ExplainError) -> String {
        match error {
            ExplainError::NoSuchMessage(wanted) => format!("队列和 logs/smail-* 中都没有邮件 {wanted}"),
            ExplainError::Ambiguous { wanted, names } => {
                format!("{wanted} 对应 {} 封邮件：{}", names.len(), names.join(" "))
            }
            ExplainError::Spool(error) => format!("无法读取队列：{error}"),
            ExplainError::Interrupted => "已中断".to_owned(),
        }
    }

    fn unfollowed(&self, what: &Unfollowed) -> String {
        match what {
            Unfollowed::Met(recipient) => format!("{recipient}，前面已经出现过"),
            Unfollowed::More(count) => format!("另外 {count} 份副本"),
            Unfollowed::NotTheirs(recipient) => format!("{recipient}，其域由其他管理员管理"),
        }
    }

    fn sentence(&self, fact: &Fact, clock: &Clock) -> String {
        match fact {
            // The connection.
            Fact::NoServerTab => "缺少 server.tab：不为任何人提供服务".to_owned(),
            Fact::LowResources(variable) => format!("可用资源低于 {variable} 的要求：拒绝"),
            Fact::Properties(properties) => {
                format!("客户端的特性：{}", listed(&property_names(*properties), "无"))
            }
            Fact::ReverseName(Some(name)) => format!("客户端的主机名是 {name}"),
            Fact::ReverseName(None) => "客户端没有反向 DNS 名称".to_owned(),
            Fact::NotAsked(what) => question(what),
            Fact::NameRequired => "存在 smtp.hnprop.tab，而客户端没有主机名：拒绝".to_owned(),
            Fact::WhiteListed => {
                "在白名单中：不检查 IP 访问表、垃圾邮件来源、DNS 黑名单和反向 DNS".to_owned()
            }
            Fact::IpMap { peer, allowed: true, .. } => format!("smtp.ipmap.tab 允许 {peer} 连接"),
            Fact::IpMap { peer, code, .. } => format!("smtp.ipmap.tab 禁止 {peer}：{}", code_meaning(*code)),
            Fact::Spammer { peer, code: Some(code) } => {
                format!("{peer} 是垃圾邮件来源：{}", code_meaning(*code))
            }
            Fact::Spammer { peer, code: None } => format!("spammers.tab 中没有任何行与 {peer} 相符"),
            Fact::Zone { zone, listed: Some(false), .. } => format!("不在 {zone} 名单中"),
            Fact::Zone { zone, listed: None, .. } => format!("{zone} 没有应答，视为不在名单中"),
            // Only exactly 1 refuses here (`mailflow.md` 3.1).
            Fact::Zone { zone, code: 1, .. } => format!("在 {zone} 名单中：拒绝"),
            Fact::Zone { zone, code: 0, .. } => format!("在 {zone} 名单中：{}", code_meaning(0)),
            Fact::Zone { zone, code, .. } => {
                format!("在 {zone} 名单中：延迟 {} 秒", code.unsigned_abs())
            }
            Fact::NoName { code: 1.. } => format!("客户端没有主机名：{}", code_meaning(0)),
            Fact::NoName { code } => format!("客户端没有主机名：{}", code_meaning(*code)),
            Fact::NoServerDomain => "没有设置 SmtpServerDomain，也没有设置 RootDomain：拒绝".to_owned(),
            // Who sends.
            Fact::Login { name, perms } => {
                let relays = if perms.relay { "可以中继" } else { "不能中继" };
                format!("{name} 的权限为 \"{perms}\"：{relays}")
            }
            Fact::ExternalLogin { mechanism } => {
                format!("由外部程序决定 {mechanism} 登录；此处视为登录成功，但没有任何权限")
            }
            Fact::NoLogin { name } => format!("没有登录名 {name}，无法登录"),
            Fact::NoPassword { account } => format!("{account} 没有密码，无法登录"),
            Fact::PopBeforeSmtp { account } => format!("{account} 不久前从此地址登录过 POP3"),
            Fact::SmtpConfig { mail_auth, want_tls } => match (mail_auth, want_tls) {
                (true, true) => "SmtpConfig：MAIL 需要以带 M 权限的用户登录，并使用 TLS".to_owned(),
                (true, false) => "SmtpConfig：MAIL 需要以带 M 权限的用户登录".to_owned(),
                (false, true) => "SmtpConfig：MAIL 需要使用 TLS".to_owned(),
                (false, false) => "SmtpConfig 没有任何要求".to_owned(),
            },
            Fact::TlsNeeded => "没有使用 TLS，也没有 S 权限或 EaseTLS：拒绝".to_owned(),
            Fact::NullSenderRefused => "AllowNullSender 已关闭：拒绝空发件人".to_owned(),
            Fact::SenderDomain { domain, found } => match found {
                Some(true) => format!("可以向 {domain} 发送邮件"),
                Some(false) => format!("无法向 {domain} 发送邮件：拒绝"),
                None => format!("DNS 没有说明能否向 {domain} 发送邮件：暂时拒绝"),
            },
            Fact::SpamAddress { sender } => format!("拒收发件人 {sender} 的邮件"),
            Fact::MessageSize { limit_bytes, declared_bytes } => {
                let verdict = if declared_bytes > limit_bytes { "拒绝" } else { "未超出" };
                format!("邮件大小 {declared_bytes} 字节，最多接收 {limit_bytes} 字节：{verdict}")
            }
            Fact::Marked => "客户端已被标记，而且没有登录：拒绝".to_owned(),
            Fact::AuthenticationDemanded { for_local_domain, excused } => {
                let why = if *for_local_domain { "发件人属于本服务器的域，" } else { "MAIL " };
                let then = if *excused { "已满足，或有 NoAuth" } else { "没有：拒绝" };
                format!("{why}需要以带 M 权限的用户登录：{then}")
            }
            // The address.
            Fact::CommandAlias { address } => format!("{address} 是命令别名"),
            Fact::DomainHandled { domain } => format!("{domain} 是本服务器的域"),
            Fact::DomainElsewhere { domain } => format!("{domain} 不是本服务器的域"),
            Fact::AliasDomain { domain, real } => format!("{domain} 是 {real} 的域别名"),
            Fact::Alias { address, target } => format!("{address} 是 {target} 的别名"),
            Fact::DanglingAlias { address, target } => {
                format!("{address} 本应是 {target} 的别名，但该帐号不存在：此行不起作用")
            }
            Fact::Account { address, is_list: false } => format!("{address} 是帐号"),
            Fact::Account { address, .. } => format!("{address} 是邮件列表"),
            Fact::NoSuchUser { address } => format!("没有名为 {address} 的帐号或别名"),
            Fact::ReceiveDisabled => "该帐号不接收邮件".to_owned(),
            Fact::SendDisabled => "该帐号不能登录 SMTP".to_owned(),
            Fact::ClosedList { may_post: true } => "列表仅限成员发信，此行允许该发件人发信".to_owned(),
            Fact::ClosedList { .. } => "列表仅限成员发信，没有任何成员行允许该发件人发信".to_owned(),
            Fact::NoMailboxDirectory { directory } => format!("{} 不存在：拒收", directory.display()),
            Fact::Quota { stored_bytes, limit_bytes, message_bytes } => {
                let verdict = match stored_bytes {
                    stored if stored >= limit_bytes => "已满",
                    stored if stored.saturating_add(*message_bytes) > *limit_bytes => "放不下此邮件",
                    _ => "有空间",
                };
                format!("邮箱已用 {stored_bytes} 字节，容量 {limit_bytes} 字节：{verdict}")
            }
            Fact::RelayByPermission => "登录用户有 R 权限：可以中继".to_owned(),
            Fact::RelayByAddress { peer } => format!("{peer} 可以中继"),
            Fact::RelayToCustomDomain { domain } => format!("{domain} 是自定义域：接收任何人发来的邮件"),
            Fact::RelayDenied => {
                "没有 R 权限，没有相符的 smtprelay.tab 行，也不是自定义域：拒绝中继".to_owned()
            }
            Fact::GatewayRoute { route } => format!("smtpgw.tab：经由 {route}"),
            Fact::SmtpFilter { program } => format!("将询问过滤器 {program}；此处视为接受"),
            // Delivery.
            Fact::CustomDomain { domain } => format!("{domain} 是自定义域"),
            Fact::OwnCommands { file } => format!("邮件按自身保存的命令副本继续处理：{}", file.display()),
            Fact::QueueFilter { stage, file, program: Some(program) } => {
                format!("过滤器（{stage}，filters/{file}）：将运行 {program}；此处视为接受")
            }
            Fact::QueueFilter { stage, file, program: None } => {
                format!("过滤器（{stage}）：filters/{file} 不存在或为空")
            }
            Fact::ContentRule { name, action, holds } => content_rule(name, *action, *holds),
            Fact::Command { name, effect } => match effect {
                CommandEffect::Acts => format!("{name}：执行"),
                CommandEffect::Judges => format!("{name}：将运行该程序；此处视为接受"),
                CommandEffect::Nothing => format!("{name}：在这里不起作用"),
            },
            Fact::CommandsWithoutEffect { to_mailbox: true } => {
                "没有任何命令处理该邮件，因此存入邮箱".to_owned()
            }
            Fact::CommandsWithoutEffect { .. } => "没有任何命令处理该邮件：退回".to_owned(),
            Fact::ToMailbox { account } => format!("存入 {account} 的邮箱"),
            Fact::ToJunkFolder { account } => format!("存入 {account} 的垃圾邮件文件夹"),
            Fact::MailboxFull { account } => format!("{account} 的邮箱已满：退回"),
            Fact::ListCopies { list, sender, receiving, invalid } => {
                let from = sender.as_ref().map_or_else(String::new, |sender| format!("，发件人为 {sender}"));
                let bad = match invalid {
                    0 => String::new(),
                    count => format!("；另有 {count} 个成员的地址无效"),
                };
                format!("{list} 向 {receiving} 个成员分发副本{from}{bad}")
            }
            Fact::ListMember { address } => format!("{address} 收到一份副本"),
            Fact::ForwardHosts { hosts } => format!("发送到 {}", listed(hosts, NO_HOST)),
            Fact::DefaultGateways { hosts } => {
                format!("DefaultSMTPGateways：发送到 {}", listed(hosts, NO_HOST))
            }
            Fact::RoutedTo { host } => format!("地址中带有路由：发送到 {host}"),
            Fact::AddressLiteral { address } => format!("域名部分是 IP 地址：发送到 {address}"),
            Fact::Exchangers { domain } => format!("发送到 {domain} 的邮件服务器（MX）"),
            Fact::ExchangersFound { hosts } => format!("DNS 应答：{}", listed(hosts, NO_HOST)),
            Fact::NoExchanger { domain } => format!("{domain} 不接收邮件：退回"),
            Fact::DnsSilent { reason } => format!("DNS 没有应答（{reason}）：稍后重试"),
            // The queue.
            Fact::Queued { state, is_tried, number, from, to } => {
                let what = match *state {
                    "mess" if *is_tried => "正在首次投递，或服务器结束时正在首次投递",
                    "mess" => "等待首次投递",
                    "rsnd" => "等待再次投递",
                    "froz" => "已冻结",
                    JOURNALED => "在日志（journal）中，尚未投递：等待首次投递，或正在首次投递",
                    _ => "正在接收：尚未向客户端应答 250",
                };
                format!("{number}，<{from}> 发给 <{to}>：{what}")
            }
            Fact::Attempt { unix_secs, error: Some(error) } => {
                format!("{} 尝试投递：{}", date(*unix_secs, clock), error.replace("\r\n", " / "))
            }
            Fact::Attempt { unix_secs, error: None } => format!("{} 尝试投递", date(*unix_secs, clock)),
            Fact::NextAttempt { unix_secs, number, attempts_max } => {
                format!("第 {number} 次尝试（共 {attempts_max} 次）：{}", date(*unix_secs, clock))
            }
            Fact::LastAttempt { unix_secs, number } => {
                format!("第 {number} 次也是最后一次尝试：{}；失败则退回", date(*unix_secs, clock))
            }
            Fact::Frozen => "重新发送（CTRL frozsubmit）之前不再尝试投递".to_owned(),
            Fact::Logged { from, to, medium, parameter, date } => {
                format!("{date}：{medium} {parameter}，<{from}> 发给 <{to}>")
            }
        }
    }
}

fn destination(destination: &Destination) -> String {
    match destination {
        Destination::Mailbox(account) => format!("{account} 的邮箱"),
        Destination::Program(program) => format!("程序 {program}"),
        Destination::Remote { recipient, hosts } if hosts.is_empty() => {
            format!("通过 SMTP 发往其他服务器，收件人 <{recipient}>")
        }
        Destination::Remote { recipient, hosts } => {
            format!("通过 SMTP 发往其他服务器，收件人 <{recipient}>：{}", hosts.join(", "))
        }
        Destination::Returned(reason) => format!("退回发件人：{reason}"),
        Destination::Nowhere(list) => format!("无处可去：{list} 没有接收邮件的成员"),
        Destination::Deleted(recipient) => format!("删除，<{recipient}> 不会收到"),
        Destination::NotFollowed(what) => format!("未继续跟踪：{}", Chinese.unfollowed(what)),
    }
}

fn content_rule(name: &str, action: Action, holds: bool) -> String {
    let becomes = match action {
        Action::Junk => "标记为垃圾邮件",
        Action::Reject => "退回发件人",
        Action::Delete => "删除",
    };
    match holds {
        true => format!("符合规则 \"{name}\"：邮件将被{becomes}"),
        false => format!("规则 \"{name}\" 检查邮件内容；如果符合，邮件将被{becomes}"),
    }
}

fn code_meaning(code: i64) -> String {
    match code {
        1.. => "拒绝".to_owned(),
        0 => "标记：登录之前 MAIL 一律失败".to_owned(),
        seconds => format!("减速：每条命令之前延迟 {} 秒", seconds.unsigned_abs()),
    }
}

fn question(question: &DnsQuestion) -> String {
    match question {
        DnsQuestion::NameOf(peer) => format!("没有向 DNS 查询 {peer} 的主机名"),
        DnsQuestion::Listed { peer, zone } => format!("没有向 DNS 查询 {peer} 是否在 {zone} 名单中"),
        DnsQuestion::Reachable(domain) => format!("没有向 DNS 查询能否向 {domain} 发送邮件"),
        DnsQuestion::ExchangersOf(domain) => format!("没有向 DNS 查询 {domain} 的邮件服务器（MX）"),
    }
}

/// `2026年11月23日 10:33:05`, in the zone of the clock.
fn date(unix_secs: i64, clock: &Clock) -> String {
    let Ok(at) = Timestamp::from_second(unix_secs) else { return unix_secs.to_string() };
    let zone = clock.zoned().time_zone().clone();
    at.to_zoned(zone).strftime("%Y年%-m月%-d日 %H:%M:%S").to_string()
}
