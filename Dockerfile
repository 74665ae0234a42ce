# syntax=docker/dockerfile:1
FROM node:26-alpine AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# No install scripts: the only one belongs to the development dependency that brings Node, and Node is here.
RUN npm ci --omit=dev --ignore-scripts

FROM node:26-alpine
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json ./
COPY src ./src
COPY openapi/openapi.json ./openapi/
RUN mkdir -m 0700 data && chown node:node data && ln -s /app/src/cli/main.ts /usr/local/bin/trimint
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080 TRIMINT_CONFIG=/etc/trimint/trimint.yaml
USER node
EXPOSE 8080
# Without a shell. It reads the server's own environment and configuration to know where to ask.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["node", "src/cli/main.ts", "healthcheck"]
ENTRYPOINT ["node", "src/main.ts"]
