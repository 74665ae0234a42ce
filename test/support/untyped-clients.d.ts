// Types for the parts that tests use of packages without types.

declare module 'simple-oauth2' {
  export class ResourceOwnerPassword {
    constructor(options: { client: { id: string; secret: string }; auth: { tokenHost: string; tokenPath: string } })
    getToken(parameters: Record<string, string>): Promise<{ token: { access_token: string } }>
  }
}

declare module 'oauth' {
  export class OAuth2 {
    constructor(id: string, secret: string, baseSite: string, authorizePath: string, accessTokenPath: string)
    getOAuthAccessToken(
      code: string,
      parameters: Record<string, string>,
      callback: (error: { statusCode: number; data: string } | null, accessToken: string) => void,
    ): void
  }
}
