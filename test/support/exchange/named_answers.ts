import { errorReply, htmlReply, jsonReply, type Reply } from './reply.ts'

type Context = {
  /** The exchange's clock, milliseconds. */
  now: number
  /** Seconds until requests are welcome again. */
  retryAfter: number
  /** The same as a time, milliseconds. */
  until: number
}

const cloudFront403 = `<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN" "http://www.w3.org/TR/html4/loose.dtd">
<HTML><HEAD><META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=iso-8859-1">
<TITLE>ERROR: The request could not be satisfied</TITLE>
</HEAD><BODY>
<H1>403 ERROR</H1>
<H2>The request could not be satisfied.</H2>
<HR noshade size="1px">
The Amazon CloudFront distribution is configured to block access from your country.
We can't connect to the server for this app or website at this time. There might be too much traffic or a configuration error. Try again later, or contact the app or website owner.
<BR clear="all">
</BODY></HTML>
`

const gateway = (status: number, title: string) =>
  htmlReply(
    status,
    `<html>\r\n<head><title>${status} ${title}</title></head>\r\n<body>\r\n<center><h1>${status} ${title}</h1></center>\r\n</body>\r\n</html>\r\n`,
  )

const withHeaders = (reply: Reply, headers: Record<string, string>): Reply => ({
  ...reply,
  headers: { ...reply.headers, ...headers },
})

const tooMany = (msg: string, { retryAfter }: Context) =>
  withHeaders(errorReply(429, -1003, msg), { 'Retry-After': String(retryAfter) })

const banned = (msg: string, { retryAfter }: Context) =>
  withHeaders(errorReply(418, -1003, msg), { 'Retry-After': String(retryAfter) })

/**
 * Answers that Binance was seen to give, or documents, when it does not give what was asked for. The three gateway
 * pages, `html-200` and `truncated-200` are in nginx's form or made up, not recorded.
 */
export const namedAnswers = {
  'rate-429-futures': context =>
    tooMany(
      'Too many requests; current limit of IP(127.0.0.1) is 2400 requests per minute. Please use the websocket for live updates to avoid polling the API.',
      context,
    ),
  'rate-429-recorded-2019': context =>
    tooMany(
      'Too many requests; current limit is 1200 requests per minute. Please use the websocket for live updates to avoid polling the API.',
      context,
    ),
  'rate-429-recorded-2023': context =>
    tooMany(
      'Too much request weight used; current limit is 6000 request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API.',
      context,
    ),
  'ban-418-recorded-2022': context =>
    banned(
      `Way too much request weight used; IP banned until ${context.until}. Please use the websocket for live updates to avoid bans.`,
      context,
    ),
  'ban-418-futures-recorded-2021': context =>
    banned(
      `Way too many requests; IP(127.0.0.1) banned until ${context.until}. Please use the websocket for live updates to avoid bans.`,
      context,
    ),
  'ban-418-with-data': context =>
    jsonReply(
      {
        code: -1003,
        msg: `Way too much request weight used; IP banned until ${context.until}.`,
        data: { serverTime: context.now, retryAfter: context.until },
      },
      418,
    ),
  'geo-451': () =>
    errorReply(
      451,
      0,
      "Service unavailable from a restricted location according to 'b. Eligibility' in https://www.binance.com/en/terms. Please contact customer service if you believe you received this message in error.",
    ),
  'geo-403-cloudfront': () =>
    withHeaders(htmlReply(403, cloudFront403), { Server: 'CloudFront', 'X-Cache': 'Error from cloudfront' }),
  'bad-symbol': () => errorReply(400, -1121, 'Invalid symbol.'),
  'bad-symbol-status': () => errorReply(400, -1122, 'Invalid symbol status.'),
  'bad-interval': () => errorReply(400, -1120, 'Invalid interval.'),
  internal: () => errorReply(500, -1001, 'Internal error; unable to process your request. Please try again.'),
  unknown: () => errorReply(400, -1000, 'An unknown error occured while processing the request.'),
  'backend-timeout': () =>
    errorReply(
      408,
      -1007,
      'Timeout waiting for response from backend server. Send status unknown; execution status unknown.',
    ),
  overload: () =>
    errorReply(
      503,
      -1008,
      'Server is currently overloaded with other requests. Please try again in a few minutes.',
    ),
  'odd-envelope': () =>
    jsonReply({
      status: 'ERROR',
      type: 'VALID',
      code: '000002',
      errorData: { limit: 'limit can not greater than 1000' },
      data: null,
      subData: null,
      params: null,
    }),
  'html-200': () => htmlReply(200, '<html><body>maintenance</body></html>'),
  'truncated-200': () => ({
    status: 200,
    headers: { 'Content-Type': 'application/json' },
    body: '[[1600012800000,"2',
  }),
  'gateway-502': () => gateway(502, 'Bad Gateway'),
  'gateway-503': () => gateway(503, 'Service Temporarily Unavailable'),
  'gateway-504': () => gateway(504, 'Gateway Time-out'),
} satisfies Record<string, (context: Context) => Reply>

export type AnswerName = keyof typeof namedAnswers

export function namedAnswer(name: AnswerName, context: Partial<Context> = {}): Reply {
  const { now = 0, retryAfter = 1, until = now + retryAfter * 1000 } = context
  return namedAnswers[name]({ now, retryAfter, until })
}
