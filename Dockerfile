# syntax=docker/dockerfile:1
FROM node:26-alpine AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# No install scripts: the only one belongs to the development dependency that brings Node, and Node is here.
RUN npm ci --omit=dev --ignore-scripts

FROM node:26-alpine
LABEL org.opencontainers.image.title="Trimint" \
      org.opencontainers.image.description="Issues tokens under three vendors' contracts: BioID BWS, GBG IDscan and nevisFIDO"
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json ./
COPY src ./src
COPY openapi/openapi.json ./openapi/
# Any user id may be given, as some platforms do; its group is then 0. Nothing else is ever written.
# A relative path in the configuration is relative to /etc/trimint, so its data folder is a link to the one in /app.
RUN mkdir data && chown 1000:0 data && chmod 0770 data && ln -s /app/src/cli/main.ts /usr/local/bin/trimint && \
    mkdir /etc/trimint && ln -s /app/data /etc/trimint/data
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080 TRIMINT_CONFIG=/etc/trimint/trimint.yaml
# As a number, so that a platform can see that it is not root: node.
USER 1000
EXPOSE 8080
# Without a shell. It reads the server's own environment and configuration to know where to ask.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["node", "src/cli/main.ts", "healthcheck"]
ENTRYPOINT ["node", "src/main.ts"]
